"""The application's factory: what it reads, what it starts, and how a wrong setting looks."""

import inspect
import json
import os
import subprocess
import sys
import threading
import tomllib
from itertools import chain
from pathlib import Path

import pytest

import consumer
from app import COMMANDS, create_app
from consumer import Settings, SettingsError
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


def test_no_function_of_a_request_is_a_coroutine():
    app = create_app()
    hooks = [app.before_request_funcs, app.after_request_funcs, app.teardown_request_funcs]
    functions = [*app.view_functions.values(), *(each for kind in hooks for each in chain(*kind.values()))]
    assert functions
    assert [each for each in functions if inspect.iscoroutinefunction(each)] == []


def test_a_wrong_setting_is_an_error_for_the_caller(monkeypatch):
    monkeypatch.setenv("KAFKA_BACKLOG", "much")
    with pytest.raises(SettingsError, match="KAFKA_BACKLOG='much'"):
        create_app()


@pytest.mark.parametrize(
    "command", [("flask", "--app", "app", "doctor"), ("gunicorn", "wsgi:app"), ("demo.run",)], ids=" ".join
)
def test_a_wrong_setting_is_one_line_for_the_operator(command):
    code, output = run(*command)
    assert code != 0
    (line,) = output.strip().splitlines()
    assert SAID in line


NOT_FOR_THE_SERVER = ("cli.commands", "cli.doctor", "cli.publish", "demo", "kafka", "numpy")


@pytest.mark.parametrize("entry", ["import app; app.create_app()", "import wsgi"])
def test_the_server_loads_nothing_that_only_commands_need(entry):
    program = f"import json, sys; {entry}; print(json.dumps(list(sys.modules)))"
    environ = {**os.environ, "AUTH": "none"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environ, capture_output=True, check=True, timeout=30
    )
    loaded = json.loads(done.stdout)
    assert "web.api.sse" in loaded
    assert [name for name in loaded if name.startswith(NOT_FOR_THE_SERVER)] == []


def test_every_command_can_be_imported_under_its_name():
    group = create_app(Settings()).cli
    commands = {name: group.get_command(None, name) for name in COMMANDS}
    assert {name: command.name for name, command in commands.items()} == {name: name for name in COMMANDS}
    assert group.get_command(None, "no-such-command") is None


def test_flask_lists_all_commands():
    command = [sys.executable, "-m", "flask", "--app", "app", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
    assert set(COMMANDS) <= {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")}


def test_the_version_is_a_command():
    command = [sys.executable, "-m", "flask", "--app", "app", "version"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == f"{VERSION}\n"


def test_version_equals_the_project_file():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == VERSION
