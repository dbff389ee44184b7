import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cli.publish import Publisher, create_topic
from consumer.settings import Settings
from demo.broker import FIXED_PORTS, BrokerError, EmbeddedBroker, ephemeral_ports, find_tansu, fixed_ports, free_port
from tests.cli.helpers import eventually
from tests.demo.helpers import runs

STARTER = """
import time
from demo.broker import EmbeddedBroker
with EmbeddedBroker() as broker:
    print(broker.pid, broker.address, broker.log, flush=True)
    time.sleep(60)
"""


def test_a_started_broker_accepts_messages(broker):
    with Publisher(Settings(kafka_brokers=broker.address)) as publisher:
        place = publisher.publish("LA_001", {"segment_id": "LA_001"})
    assert place.offset == 0
    assert 0 <= place.partition < 4


def test_create_topic_returns_false_for_an_existing_topic(broker):
    settings = Settings(kafka_brokers=broker.address, kafka_topic="created-twice")
    assert create_topic(settings, 3) is True
    assert create_topic(settings, 3) is False


def test_a_stopped_broker_leaves_neither_process_nor_log():
    with EmbeddedBroker() as broker:
        pid, log, address = broker.pid, broker.log, broker.address
        assert runs(pid)
        assert log.exists()
        assert broker.poll() is None
    assert not runs(pid)
    assert not log.exists()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(address.partition(":")[2]))) != 0


def test_two_brokers_run_side_by_side(broker):
    with EmbeddedBroker() as other:
        assert other.address != broker.address
        assert other.pid != broker.pid


def test_the_log_of_a_crashed_broker_is_kept():
    with EmbeddedBroker() as broker:
        assert broker.log_tail().startswith("last lines of its log:\n  ")
        os.kill(broker.pid, signal.SIGKILL)
        assert broker.wait() == 128 + signal.SIGKILL
        tail, log = broker.log_tail(), broker.log
    assert log.exists()
    log.unlink()
    assert tail.startswith(f"last lines of its log (kept in {log}):\n  ")
    assert "listening on" in tail


def test_a_broker_ends_with_a_killed_parent():
    with subprocess.Popen([sys.executable, "-c", STARTER], stdout=subprocess.PIPE, text=True) as starter:
        pid, _, log = starter.stdout.readline().split()
        starter.kill()
        assert eventually(lambda: not runs(int(pid)))
    assert eventually(lambda: not os.path.exists(log))


def test_a_broker_that_can_not_start_leaves_no_log(tmp_path, monkeypatch):
    broken = tmp_path / "tansu"
    broken.write_bytes(b"no program")
    broken.chmod(0o755)
    monkeypatch.setenv("TANSU_BIN", str(broken))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(BrokerError, match=r"can't be started: .*; set KAFKA_BROKERS"):
        EmbeddedBroker().start()
    assert os.listdir(tmp_path) == ["tansu"]


def test_a_crash_at_the_start_names_the_log_file(tmp_path, monkeypatch):
    dying = tmp_path / "tansu"
    dying.write_text("#!/bin/sh\necho 'no room left'\nexit 3\n")
    dying.chmod(0o755)
    monkeypatch.setenv("TANSU_BIN", str(dying))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(BrokerError, match="ended with status 3") as raised:
        EmbeddedBroker().start()
    kept = re.search(r"last lines of its log \(kept in (\S+)\):\n  no room left$", str(raised.value))[1]
    assert Path(kept).read_text() == "no room left\n"


def test_a_missing_package_is_an_error_with_advice():
    with pytest.raises(BrokerError, match=r"pip install -r requirements-demo.txt.*KAFKA_BROKERS"):
        find_tansu({}, package="no_such_package")


def test_tansu_bin_must_be_an_executable_file(tmp_path):
    assert find_tansu({"TANSU_BIN": sys.executable}) == sys.executable
    with pytest.raises(BrokerError, match=r"TANSU_BIN=.*/nothing is not an executable file; correct or unset it"):
        find_tansu({"TANSU_BIN": str(tmp_path / "nothing")})


def test_the_pid_of_a_stopped_broker_is_an_error():
    with pytest.raises(BrokerError, match="not running"):
        _ = EmbeddedBroker().pid


def test_a_free_port_can_be_listened_on():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))


@pytest.mark.parametrize(
    ("ephemeral", "fixed"),
    [
        (range(32_768, 61_000), range(10_000, 32_000)),
        (range(15_000, 65_536), range(10_000, 15_000)),
        (range(1_024, 61_000), range(61_000, 65_536)),
        (range(1_024, 65_536), range(10_000, 32_000)),
    ],
)
def test_fixed_ports_are_the_most_that_ephemeral_ones_leave(ephemeral, fixed):
    assert fixed_ports(ephemeral) == fixed


def test_a_free_port_is_no_ephemeral_port():
    assert free_port() in FIXED_PORTS
    if set(FIXED_PORTS) & set(ephemeral_ports()):
        pytest.skip("the ephemeral ports leave too few others")
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            client = stack.enter_context(socket.create_connection(server.getsockname()))
            stack.enter_context(server.accept()[0])
            assert client.getsockname()[1] in ephemeral_ports()


def test_ports_chosen_before_any_is_bound_differ():
    assert len({free_port() for _ in range(50)}) == 50
