"""The log: secrets of the settings are masked in the lines of all loggers; lines that are not shown cost little."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from gunicorn.config import Config

from consumer.secrets import secrets_of
from consumer.settings import Settings
from web.logs import MaskingFormatter
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
    environ["KAFKA_SASL_USERNAME"] = "user"
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
    log.access(None, None, {}, None)
    assert len(built) == lines
