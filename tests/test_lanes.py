"""The plugin that keeps the unit lane: `integration` is the marker of all tests that start something."""

from pathlib import Path

import pytest

from tests.test_leak_check import without_plugins  # noqa: F401, a fixture

PLUGIN = Path(__file__).with_name("lanes.py")
STARTS = "import subprocess, sys\n    subprocess.run([sys.executable, '-c', ''], check=True)"
BINDS = "import socket\n    with socket.create_server(('127.0.0.1', 0)): pass"


def run(pytester, body, *options, decorator="", directory="consumer"):
    """Run a test of such a body in a directory of tests, and a fixture `server` that says what it does."""
    pytester.makeconftest(PLUGIN.read_text(encoding="utf-8"))
    path = pytester.mkdir(directory) / "test_it.py"
    fixture = "@pytest.fixture\ndef server(integration):\n    pass\n\n\n"
    path.write_text(f"import pytest\n\n\n{fixture}{decorator}\ndef test_it(request):\n    {body}\n", encoding="utf-8")
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", "--strict-markers", *options)


@pytest.mark.parametrize(("body", "said"), [(STARTS, "test_it starts a process"), (BINDS, "test_it binds a port")])
def test_a_unit_test_that_starts_something_fails(pytester, body, said):
    result = run(pytester, body)
    result.assert_outcomes(failed=1)
    assert said in result.stdout.str()


@pytest.mark.parametrize("decorator", ["@pytest.mark.integration", "@pytest.mark.usefixtures('server')"])
def test_a_marked_test_may_start_something(pytester, decorator):
    run(pytester, STARTS, decorator=decorator).assert_outcomes(passed=1)


@pytest.mark.parametrize("decorator", ["@pytest.mark.integration", "@pytest.mark.usefixtures('server')"])
def test_a_marked_test_is_not_in_the_unit_lane(pytester, decorator):
    run(pytester, "pass", "-m", "not integration", decorator=decorator).assert_outcomes(deselected=1)


def test_other_directories_are_not_in_the_lane(pytester):
    run(pytester, STARTS, directory="demo").assert_outcomes(passed=1)
