import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from itertools import islice
from pathlib import Path

import pytest

from demo.broker import free_port
from demo.run import Reminder
from tests.cli.helpers import eventually
from tests.demo.helpers import descendants, runs

STANDIN = str(Path(__file__).with_name("standin.py"))
FEED = [sys.executable, "-c", "import time; print('feeding', flush=True); time.sleep(600)"]
IGNORING = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ignoring', flush=1); time.sleep(600)",
]
TICKING = [sys.executable, "-c", "import time\nwhile True: print('tick', flush=True); time.sleep(0.05)"]

SHELL = "import signal as s; s.signal(s.SIGHUP, s.SIG_DFL); s.signal(s.SIGINT, s.default_int_handler)\n"
NOHUP = "import signal as s; s.signal(s.SIGHUP, s.SIG_IGN)\n"
"""Signal handlers of a process started by a shell and by nohup, since either may run the tests."""


class Running:
    """A process of `python -m demo.run` with stand-ins for the web process and the feed."""

    def __init__(self, web=None, feed=None, program=None, before=SHELL, **environ):
        web, feed = web or [sys.executable, STANDIN, "0"], feed or FEED
        program = program or f"import sys, demo.run; sys.exit(demo.run.main(web={web!r}, feed={feed!r}))"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KAFKA_")}
        self.port = free_port()
        self._process = subprocess.Popen(
            [sys.executable, "-c", before + program],
            env={**kept, "PORT": str(self.port), "BIND": "127.0.0.1", **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.pid = self._process.pid
        self.lines = []
        self._reader = threading.Thread(target=lambda: self.lines.extend(self._process.stdout))
        self._reader.start()

    @property
    def output(self):
        return "".join(self.lines)

    def wait_for(self, text):
        """Wait until a text is in the output; fail when the process ends first."""
        eventually(lambda: text in self.output or self._process.poll() is not None, 60)
        eventually(lambda: text in self.output, 30)

    def signal(self, number):
        self._process.send_signal(number)

    def end(self):
        """Wait for the end and return the exit code."""
        code = self._process.wait(60)
        self._reader.join(60)
        self._process.stdout.close()
        return code

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self._process.kill()
        self.end()


def synthetic_predictions(lines):
    """Yield the single predictions of a stream, which are all synthetic."""
    for line in lines:
        if line.startswith(b'data: {"type":"prediction"'):
            data = json.loads(line[6:])["data"]
            assert data["source"] == "synthetic"
            yield data


def predictions(url):
    """Return the predictions of the view."""
    with urllib.request.urlopen(f"{url}/api/predictions") as answer:
        return json.load(answer)["data"]["predictions"]


def test_make_run_serves_live_predictions_and_leaves_no_process():
    with Running(program="import sys, demo.run; sys.exit(demo.run.main())") as run:
        run.wait_for(f"Greenwave is at http://127.0.0.1:{run.port}/")
        url = f"http://127.0.0.1:{run.port}"
        with urllib.request.urlopen(f"{url}/predictions") as page:
            assert b"<title>Greenwave" in page.read()
        eventually(lambda: len(predictions(url)) >= 200)  # it is ready once it has read what was there
        with urllib.request.urlopen(f"{url}/predictions/stream") as stream:
            assert len({each["segment_id"] for each in islice(synthetic_predictions(stream), 50)}) > 1
        processes = descendants(run.pid)
        assert len(processes) >= 4  # broker, feed, gunicorn and its worker
        run.signal(signal.SIGINT)
        assert run.end() == 0
        assert not any(map(runs, processes))


def test_broker_feed_and_web_start_in_order():
    with Running() as run:
        run.wait_for(f"run    | Greenwave is at http://127.0.0.1:{run.port}/")
        order = [run.output.index(text) for text in ("broker | started", "feed   | started", "web    | started")]
        assert order == sorted(order)
        run.wait_for("web    | stand-in serves")
        run.wait_for("feed   | feeding")


def test_children_get_broker_port_and_fetch_wait_by_environment():
    with Running(KAFKA_SASL_USERNAME="left over", KAFKA_TOPIC="mine") as run:
        run.wait_for("Greenwave is at")
        with urllib.request.urlopen(f"http://127.0.0.1:{run.port}/", timeout=60) as answer:
            environ = json.load(answer)["environ"]
        assert environ["KAFKA_BROKERS"] == re.search(r"process \d+ at (\S+),", run.output)[1]
        assert environ["KAFKA_FETCH_MAX_WAIT_MS"] == "50"
        assert environ["PORT"] == str(run.port)
        assert environ["KAFKA_TOPIC"] == "mine"
        assert "KAFKA_SASL_USERNAME" not in environ


@pytest.mark.parametrize("numbers", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGHUP], [signal.SIGINT] * 2])
def test_a_signal_stops_all_processes_with_exit_code_0(numbers):
    with Running() as run:
        run.wait_for("Greenwave is at")
        processes = descendants(run.pid)
        assert len(processes) == 6  # broker, feed and web, each with its launcher
        for number in numbers:
            run.signal(number)
        assert run.end() == 0
        assert eventually(lambda: not any(map(runs, processes)))
        assert run.lines[-1] == "run    | stopped\n"


def test_a_run_under_nohup_outlives_its_terminal():
    with Running(before=NOHUP, feed=TICKING) as run:
        run.wait_for("Greenwave is at")
        run.signal(signal.SIGHUP)
        before = run.output.count("tick")
        eventually(lambda: run.output.count("tick") > before + 20)
        run.signal(signal.SIGTERM)
        assert run.end() == 0


PATIENT = f"""
import sys, demo.run
demo.run._GRACE_SECONDS["feed"] = 600
sys.exit(demo.run.main(web=[sys.executable, {STANDIN!r}, "0"], feed={IGNORING!r}))
"""
"""A run whose feed ignores SIGTERM, and has ten minutes to end."""


def test_a_second_ctrl_c_kills_children_that_ignore_sigterm():
    with Running(program=PATIENT) as run:
        run.wait_for("Greenwave is at")
        run.wait_for("feed   | ignoring")
        run.signal(signal.SIGINT)
        run.wait_for("stopping")
        run.signal(signal.SIGINT)
        assert run.end() == 0


def test_no_process_outlives_a_killed_run():
    with Running() as run:
        run.wait_for("Greenwave is at")
        processes = descendants(run.pid)
        log = Path(re.search(r"log file (\S+)", run.output)[1])
        assert log.exists()
        run.signal(signal.SIGKILL)
        assert run.end() == -signal.SIGKILL
        assert eventually(lambda: not any(map(runs, processes)))
        assert eventually(lambda: not log.exists())


AT_A_THREAD = """
import os, signal, threading, time
def send():
    for number in "12":
        while not os.path.exists({folder!r} + number):
            time.sleep(0.02)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
threading.Thread(target=send, daemon=True).start()
"""


def test_signals_that_do_not_interrupt_a_wait_stop_and_then_kill(tmp_path):
    program, before = PATIENT, SHELL + AT_A_THREAD.format(folder=f"{tmp_path}/")
    with Running(program=program, before=before) as run:
        run.wait_for("Greenwave is at")
        run.wait_for("feed   | ignoring")
        (tmp_path / "1").touch()
        run.wait_for("stopping")
        web = int(re.search(r"web +\| started as process (\d+)", run.output)[1])
        eventually(lambda: not runs(web))  # from here on it waits for the feed alone
        (tmp_path / "2").touch()
        assert run.end() == 0


@pytest.mark.parametrize("name", ["web", "feed", "broker"])
def test_a_child_that_crashes_stops_all_with_exit_code_1(name):
    with Running() as run:
        run.wait_for("Greenwave is at")
        processes = descendants(run.pid)
        victim = int(re.search(rf"{name} +\| started as process (\d+)", run.output)[1])
        os.kill(victim, signal.SIGKILL)
        assert run.end() == 1
        assert f"error: {name} ended unexpectedly with exit status 137" in run.output
        assert eventually(lambda: not any(map(runs, processes)))
        if name == "broker":
            log = re.search(r"broker \| last lines of its log \(kept in (\S+)\):", run.output)[1]
            assert "broker |   listening on" in run.output
            Path(log).unlink()


def test_a_web_process_that_can_not_start_is_reported_with_its_output():
    with Running(web=[sys.executable, "-c", "raise SystemExit('can not serve')"]) as run:
        assert run.end() == 1
        assert "web    | can not serve" in run.output
        assert "error: web ended unexpectedly with exit status 1" in run.output


def test_the_reason_to_wait_is_printed():
    with Running(web=[sys.executable, STANDIN, "60"]) as run:
        run.wait_for(f"waiting for http://127.0.0.1:{run.port}/readyz: not ready: warming up")
        run.signal(signal.SIGINT)
        assert run.end() == 0


def test_the_reason_to_wait_is_repeated_less_and_less_often():
    reminder = Reminder(1_000.0)
    due = [second for second in range(220) if reminder.end_pause(1_000.0 + second)]
    assert due == [3, 9, 21, 45, 93, 153, 213], "3 s, then twice as long each time, up to a minute"


def test_a_port_in_use_is_one_line_and_nothing_starts():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with Running(PORT=port) as run:
            assert run.end() == 1
    said = rf"can't listen on 127.0.0.1:{port}: Address .*in use; stop the process that uses it, or choose another"
    assert re.fullmatch(rf"run    \| error: {said}.*\n", run.output)


def test_a_foreign_address_is_an_error_that_names_bind():
    with Running(BIND="192.0.2.1") as run:
        assert run.end() == 1
    assert re.fullmatch(r"run    \| error: can't listen on 192\.0\.2\.1:\d+: .*; correct BIND\n", run.output)


def test_an_unreadable_certificate_is_one_line_and_nothing_starts():
    wrong = {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CAFILE": "/there/is/none.pem"}
    with Running(KAFKA_BROKERS="kafka.example:9092", **wrong) as run:
        assert run.end() == 1
    assert re.fullmatch(r"run    \| error: KAFKA_SSL_CAFILE='/there/is/none.pem' can't be used: .*\n", run.output)


def test_a_broker_that_can_not_start_is_one_line():
    with Running(TANSU_BIN="/there/is/none") as run:
        assert run.end() == 1
    assert [line.rstrip() for line in run.lines] == [
        "run    | KAFKA_BROKERS is not set: starting the embedded broker",
        "run    | error: TANSU_BIN=/there/is/none is not an executable file; correct or unset it",
    ]


def test_with_kafka_brokers_set_only_the_web_process_is_started():
    with Running(KAFKA_BROKERS="kafka.example:9092") as run:
        run.wait_for("Greenwave is at")
        assert len(descendants(run.pid)) == 2
        assert "broker" not in run.output
        assert "feed" not in run.output
        run.signal(signal.SIGINT)
        assert run.end() == 0


def test_a_wrong_setting_is_one_line_and_nothing_starts():
    with Running(KAFKA_BACKLOG="soon") as run:
        assert run.end() == 1
        assert run.output.startswith("run    | error: KAFKA_BACKLOG='soon' can't be used")


def test_port_0_selects_a_free_port():
    with Running(PORT="0", KAFKA_BROKERS="kafka.example:9092") as run:
        run.wait_for("Greenwave is at")
        port = re.search(r"http://127\.0\.0\.1:(\d+)/", run.output)[1]
        assert int(port) > 0
        run.signal(signal.SIGINT)
        assert run.end() == 0


def test_a_closed_output_stops_all_processes():
    talk = [sys.executable, "-c", "import time\nwhile True: print('talk', flush=True); time.sleep(0.05)"]
    program = f"import sys, demo.run; sys.exit(demo.run.main(web={talk!r}))"
    environ = {**os.environ, "PORT": "0", "BIND": "127.0.0.1", "KAFKA_BROKERS": "kafka.example:9092"}
    with subprocess.Popen([sys.executable, "-c", program], env=environ, stdout=subprocess.PIPE) as process:
        while b"talk" not in process.stdout.readline():
            pass
        processes = descendants(process.pid)
        process.stdout.close()
        assert process.wait(60) == 0
        assert eventually(lambda: not any(map(runs, processes)))


@pytest.mark.parametrize(("argument", "code"), [("--help", 0), ("8000", 2)])
def test_arguments_are_refused_and_nothing_starts(argument, code):
    command = [sys.executable, "-m", "demo.run", argument]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code
    assert "usage: python -m demo.run" in done.stdout + done.stderr
    assert "started" not in done.stdout
