"""The application's factory: what it reads, what it starts, and how a wrong setting looks."""

import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest

import consumer
from app import create_app
from consumer import SettingsError
from consumer.version import VERSION

ROOT = Path(__file__).resolve().parents[1]
WRONG = {"KAFKA_BACKLOG": "much"}
SAID = "KAFKA_BACKLOG='much' can't be used; allowed: 10000/1h, 500, 0, all"


def run(*command):
    """Run a command of the project with a wrong setting."""
    done = subprocess.run(
        [sys.executable, "-m", *command], env=WRONG, cwd=ROOT, capture_output=True, text=True, check=False, timeout=30
    )
    return done.returncode, done.stdout + done.stderr


def test_making_an_app_starts_nothing():
    before = threading.active_count()
    create_app()
    assert threading.active_count() == before
    assert consumer.current() is None


def test_a_wrong_setting_is_an_error_to_whoever_makes_an_app(monkeypatch):
    monkeypatch.setenv("KAFKA_BACKLOG", "much")
    with pytest.raises(SettingsError, match="KAFKA_BACKLOG='much'"):
        create_app()


@pytest.mark.parametrize(
    "command", [("flask", "--app", "app", "doctor"), ("gunicorn", "wsgi:app"), ("demo.run",)], ids=" ".join
)
def test_a_wrong_setting_is_one_line_to_an_operator(command):
    code, output = run(*command)
    assert code != 0
    (line,) = output.strip().splitlines()
    assert SAID in line


def test_version_is_the_one_of_the_project_file():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == VERSION
