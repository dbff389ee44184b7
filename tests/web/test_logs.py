"""The log: secrets of the settings are masked in the lines of all loggers; lines that are not shown cost little."""

import json
import logging
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from gunicorn.config import Config

from consumer.secrets import secrets_of
from consumer.settings import Settings
from tests.web.server.test_worker import Server, until
from web.logs import JsonFormatter, MaskingFormatter, request_id
from web.server.access_log import AccessLog

ROOT = Path(__file__).resolve().parents[2]
KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADAN\nBgkqhkiG9w0B\n-----END PRIVATE KEY-----"
SETTINGS = Settings(kafka_sasl_password="it's-s3cret", kafka_client_cert_key=KEY)


def line(message, *args, exc_info=None):
    """Return a formatted record."""
    record = logging.LogRecord("kafka.net", logging.ERROR, __file__, 1, message, args, exc_info)
    return MaskingFormatter(secrets_of(SETTINGS)).format(record)


@pytest.mark.parametrize(
    "text",
    ["login of it's-s3cret failed", repr("it's-s3cret\n"), repr(b"it's-s3cret"), KEY, repr(KEY)],
    ids=["plain", "repr", "bytes", "key", "repr of a key"],
)
def test_a_secret_in_a_message_is_masked(text):
    shown = line("the broker says: %s", text)
    assert "the broker says: " in shown
    assert not [secret for secret in ("s3cret", "MIIEvQIBADAN", "BgkqhkiG9w0B") if secret in shown]


def test_a_secret_in_a_traceback_is_masked():
    try:
        raise ValueError("refused: it's-s3cret")
    except ValueError:
        shown = line("failed", exc_info=sys.exc_info())
    assert "ValueError: refused: ***" in shown


@pytest.mark.parametrize("settings", [Settings(), Settings(kafka_sasl_password="abc")], ids=["none", "short"])
def test_ordinary_words_are_not_masked(settings):
    assert secrets_of(settings) == []


@pytest.mark.integration
@pytest.mark.parametrize("logger", ["greenwave.consumer", "kafka.net.connection", "gunicorn.error"])
def test_a_started_process_masks_secrets_of_every_logger(logger):
    code = f"""
import logging, runpy, wsgi
config = runpy.run_path("gunicorn.conf.py")["logconfig_dict"]
logging.config.dictConfig(config)
wsgi.configure(wsgi.settings)
logging.getLogger({logger!r}).critical("refused: s3cret-password")
"""
    environ = {**os.environ, "KAFKA_SASL_PASSWORD": "s3cret-password", "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}
    environ |= {"KAFKA_SASL_USERNAME": "user", "BIND": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-c", "import logging.config\n" + code],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "refused: ***" in done.stderr
    assert "s3cret" not in done.stderr


@pytest.mark.parametrize(("level", "lines"), [("INFO", 1), ("WARNING", 0)])
def test_a_line_of_the_access_log_is_built_only_if_shown(level, lines):
    built = []

    class Recorded(AccessLog):
        access_log_enabled = True

        def setup(self, cfg):
            self.cfg = cfg

        def atoms(self, *args):
            built.append(args)
            return {}

    log = Recorded(Config())
    log.access_log = logging.Logger("access", level)
    log.access(SimpleNamespace(status="200 OK", sent=5), None, {}, timedelta(seconds=1))
    assert len(built) == lines


def json_line(message, *args, exc_info=None, **fields):
    """Return the fields of a record in JSON."""
    record = logging.LogRecord("greenwave.web", logging.ERROR, __file__, 1, message, args, exc_info)
    record.fields = fields
    shown = JsonFormatter(secrets_of(QUOTED)).format(record)
    assert "\n" not in shown
    assert "s3cret" not in shown
    return json.loads(shown)


QUOTED = Settings(kafka_sasl_password='a"b\\c-s3cret')
"""A secret that JSON encodes in another way."""


def test_a_json_line_has_time_level_logger_process_and_message():
    line = json_line("lost %d of %s", 3, "all")
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "error",
        "logger": "greenwave.web",
        "process": os.getpid(),
        "message": "lost 3 of all",
    }


def test_a_json_line_names_the_request_it_belongs_to():
    token = request_id.set("mine")
    try:
        assert json_line("failed")["request_id"] == "mine"
    finally:
        request_id.reset(token)


def test_a_secret_in_json_is_masked_before_it_is_encoded():
    secret = QUOTED.kafka_sasl_password
    try:
        raise ValueError(f"refused: {secret}")
    except ValueError:
        line = json_line("login of %s\nfailed", secret, exc_info=sys.exc_info(), target=f"/?{secret}")
    assert (line["message"], line["target"]) == ("login of ***\nfailed", "/?***")
    assert line["exception"].endswith("ValueError: refused: ***")


@pytest.mark.integration
def test_a_server_logs_json_only_with_an_access_line_per_request(tmp_path):
    with Server(tmp_path / "log", LOG_FORMAT="json", ACCESS_LOG="true") as server:
        with server.open("/nothing?a=1", **{"X-Request-ID": "mine", "User-Agent": 'a "quoted" one'}) as client:
            assert b"X-Request-ID: mine" in client.recv(65_536)
        until(lambda: b'"request_id":"mine"' in server.log.read_bytes())
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    (line,) = [each for each in lines if each.get("request_id") == "mine"]
    assert line.pop("seconds") < 60
    assert {name: line[name] for name in ("logger", "method", "target", "status", "user_agent", "client")} == {
        "logger": "gunicorn.access",
        "method": "GET",
        "target": "/nothing?a=1",
        "status": 404,
        "user_agent": 'a "quoted" one',
        "client": "127.0.0.1",
    }
    assert line["bytes"] > 0


@pytest.mark.integration
@pytest.mark.parametrize("settings", [{"ACCESS_LOG": "true"}, {"LOG_LEVEL": "DEBUG"}], ids=["access log", "debug"])
def test_a_text_line_of_the_access_log_ends_with_the_request_id(tmp_path, settings):
    with Server(tmp_path / "log", **settings) as server:
        with server.open("/nothing", **{"X-Request-ID": "mine"}) as client:
            client.recv(65_536)
        until(lambda: b'"GET /nothing HTTP/1.1" 404' in server.log.read_bytes())
    (line,) = [each for each in server.log.read_text().splitlines() if "/nothing" in each and "gunicorn.access" in each]
    assert line.endswith(" mine")
