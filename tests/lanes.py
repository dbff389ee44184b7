"""The unit lane: the tests of consumer/ and web/ that start no process and bind no port (`make test-unit`).

A test that does either has the marker `integration`. It gets the marker from a fixture that asks for the fixture
`integration`, or has it of its own. A test of these directories without the marker fails when it starts a process or
binds a port, so the lane needs no list. A test that takes half a second or more, by work or by waiting for a timeout,
has the marker `slow`, and is not in the lane either. A pytest plugin that needs nothing else.
"""

import sys
from pathlib import Path

import pytest

DIRECTORIES = ("consumer", "web")
EVENTS = {
    "os.fork": "forks",
    "os.posix_spawn": "starts a process",
    "socket.bind": "binds a port",
    "subprocess.Popen": "starts a process",
}
"""Audit events that a unit test must not cause, and what they mean."""

_HERE = Path(__file__).resolve().parent
_guarded: list[str] = []


@pytest.fixture(scope="session")
def integration():
    """Mark the tests that use this fixture, or one that asks for it: they start a process or bind a port."""


def pytest_configure(config):
    """Watch this process; an audit hook can't be removed, so it is added once and asks whether a test is guarded."""
    config.addinivalue_line("markers", "integration: starts a process or binds a port; not in make test-unit")
    config.addinivalue_line("markers", "slow: works or waits for half a second; not in make test-unit")
    sys.addaudithook(_refuse)


def pytest_collection_modifyitems(items):
    """Mark the tests whose fixtures say that they start something."""
    for item in items:
        if "integration" in item.fixturenames:
            item.add_marker("integration")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Guard a unit test, its fixtures included."""
    place = item.path.relative_to(_HERE).parts[0] if item.path.is_relative_to(_HERE) else ""
    if place in DIRECTORIES and not item.get_closest_marker("integration"):
        _guarded.append(item.name)
    try:
        return (yield)
    finally:
        _guarded.clear()


def _refuse(event, _):
    if event in EVENTS and _guarded:
        raise RuntimeError(f"{_guarded[0]} {EVENTS[event]}: mark it, or its fixture, `integration` (tests/lanes.py)")
