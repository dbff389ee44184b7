"""The leak check itself: a test that leaves something behind fails, and says what."""

from pathlib import Path

import pytest

from tests.leak_check import SETTLE_SECONDS

PLUGIN = Path(__file__).with_name("leak_check.py")

LEAKS = [
    (
        "import threading\nthreading.Thread(target=threading.Event().wait, name='left', daemon=True).start()",
        "thread left",
    ),
    ("import builtins, socket\nbuiltins.kept = socket.socket()", "descriptor socket:"),
    ("import builtins\nbuiltins.kept = open(__file__)", "descriptor /"),
    ("import builtins, subprocess\nbuiltins.kept = subprocess.Popen(['sleep', '30'])", "child process"),
]


@pytest.fixture(autouse=True)
def without_plugins(monkeypatch):
    """Start pytest without the plugins that are installed, which takes a second."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.mark.parametrize(("leak", "said"), LEAKS)
def test_a_test_that_leaks_fails_and_says_what(pytester, leak, said):
    text = PLUGIN.read_text(encoding="utf-8").replace(f"SETTLE_SECONDS = {SETTLE_SECONDS}", "SETTLE_SECONDS = 0.1")
    pytester.makeconftest(text)
    body = "\n".join(f"    {line}" for line in leak.splitlines())
    clean_up = "\n\ndef test_end():\n    import builtins\n    kept = builtins.__dict__.pop('kept', None)\n"
    clean_up += (
        "    getattr(kept, 'kill', lambda: None)()\n    getattr(kept, 'close', getattr(kept, 'wait', lambda: None))()\n"
    )
    pytester.makepyfile(f"def test_leak():\n{body}\n{clean_up}")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    assert "the test left behind" in result.stdout.str()
    assert said in result.stdout.str()


def test_a_test_that_cleans_up_passes(pytester):
    pytester.makeconftest(PLUGIN.read_text(encoding="utf-8"))
    pytester.makepyfile(
        "def test_clean(tmp_path):\n    with open(tmp_path / 'x', 'w') as file:\n        file.write('x')\n"
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
