"""The page knows the reasons of all states of the consumer, by the sentences of the server."""

import ast
import re
from pathlib import Path

from consumer.view import reasons
from web.page.texts import catalogues

MODULE = Path("static/js/view/reasons.js").read_text("utf-8")
RUNTIME = Path("consumer/runtime").glob("*.py")
ENTRY = re.compile(r'\["([^"]+)", "reason\.(\w+)"\]')
SENTENCES = {name.lower(): value for name, value in vars(reasons).items() if name.isupper()}


def test_the_page_has_the_sentences_of_the_server():
    see_log = re.search(r'SEE_LOG = "([^"]+)"', MODULE).group(1)
    assert {name: sentence for sentence, name in ENTRY.findall(MODULE)} | {"see_log": see_log} == SENTENCES


def test_the_english_texts_are_the_sentences_of_the_server():
    english = catalogues()["en"]
    assert {name: english[f"reason.{name}"] for name in SENTENCES} == SENTENCES


def test_each_state_is_announced_with_one_of_these_reasons():
    """No reason is written where a state is entered: no text, and none that is put together."""
    for path in RUNTIME:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("enter", "enter_if_new", "_back_off"):
                assert not isinstance(node.args[1], ast.JoinedStr | ast.Constant), f"{path}:{node.lineno}"
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "reason" and path.name != "tracing.py":
                assert not isinstance(node.value, ast.JoinedStr | ast.Constant), f"{path}:{node.lineno}"
