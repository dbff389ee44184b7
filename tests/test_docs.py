"""Documents: links resolve, and what they list is what the code has."""

import ast
import re
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

from tools import dialect

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
DECISIONS = ROOT / "docs" / "decisions"
MESSAGES = ROOT / "docs" / "messages.md"
PLAIN = [
    *("ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "README.md", "SECURITY.md"),
    *(f"docs/{name}.md" for name in ("clients", "memory", "messages", "operations", "proxies")),
    *(f"docs/{name}.md" for name in ("resume", "scoring", "settings")),
]


def name_of(path):
    return str(path.relative_to(ROOT))


def without_code(text):
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(path):
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", without_code(path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(path):
    """Return the relative links of a document that lead to no file, or to no heading of it."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(path.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_between_documents_resolve(path):
    assert broken_links(path) == []


def test_a_link_to_a_missing_file_or_heading_is_found(tmp_path):
    document = tmp_path / "a.md"
    document.write_text("# One heading\n[a](#one-heading) [b](#two) [c](b.md) [d](https://example.org)\n")
    assert broken_links(document) == ["#two", "b.md"]


def test_documents_that_the_code_names_exist():
    named = {
        (name_of(path), document)
        for package in ("consumer", "web", "cli", "demo", "bench", "tools", "tests")
        for path in (ROOT / package).rglob("*.py")
        for document in re.findall(r"\b(?:docs/[\w/-]+|[A-Z]{6,})\.md\b", path.read_text(encoding="utf-8"))
    }
    assert named
    assert [each for each in sorted(named) if not (ROOT / each[1]).is_file()] == []


def test_architecture_is_short():
    assert len((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split()) <= 1800


def test_the_index_of_decisions_lists_each_of_them():
    files = sorted(path.name for path in DECISIONS.glob("[0-9]*.md"))
    listed = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (DECISIONS / "README.md").read_text(encoding="utf-8"))
    assert listed == files


@pytest.mark.parametrize("path", sorted(DECISIONS.glob("[0-9]*.md")), ids=name_of)
def test_a_decision_has_a_date_and_three_parts(path):
    text = path.read_text(encoding="utf-8")
    assert re.match(rf"# {path.name[:4]}: .+\n\nDate: \d{{4}}-\d\d-\d\d\n", text)
    assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert 10 <= len(text.splitlines()) <= 20


@pytest.mark.parametrize("path", [*PLAIN, *map(name_of, DECISIONS.glob("*.md"))])
def test_plain_documents_have_no_dialect(path):
    assert dialect.count((ROOT / path).read_text(encoding="utf-8")) == {}


def test_dialect_is_counted_as_whole_words():
    assert dialect.count("Told, TOLD; retold, is_told, nobody's") == {"told": 2, "nobody": 1}


def test_the_dialect_script_prints_a_total(tmp_path):
    document = tmp_path / "a.md"
    document.write_text("read anew, once more anew")
    command = [sys.executable, "-m", "tools.dialect", str(document)]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"2 {document}: anew 2" in printed
    assert "2 in total" in printed


# Field names: docs/messages.md and the modules that read messages


def readers():
    """Return the modules that look up fields of messages, as syntax trees."""
    wanted = {"fields.py", "horizon.py", "normalise.py", "speeds.py", "timing.py"}
    found = {path.name: ast.parse(path.read_text("utf-8")) for path in (ROOT / "consumer").rglob("*.py")}
    assert wanted <= set(found)
    return [found[name] for name in sorted(wanted)]


def texts(node):
    return {each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)}


def names_of(node):
    return [target.id for target in node.targets if isinstance(target, ast.Name)]


def looked_up(tree):
    """Return the field names that a module looks up: arguments of get(), and tuples of names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            yield from texts(node.args[0])
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield from chain.from_iterable(texts(each) for each in node.args if isinstance(each, ast.Tuple))
        elif isinstance(node, ast.For) and isinstance(node.iter, ast.Tuple):
            yield from texts(node.iter)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple) and "__slots__" not in names_of(node):
            yield from texts(node.value)


def field_names():
    return {name for tree in readers() for name in looked_up(tree) if re.fullmatch(r"[a-z][a-z_]+", name)}


def fields_section():
    return MESSAGES.read_text(encoding="utf-8").partition("\n## Fields\n")[2].partition("\n## ")[0]


def documented():
    """Return all words in the code spans of the section on fields."""
    return {word for span in re.findall(r"`([^`]+)`", fields_section()) for word in re.findall(r"\w+", span)}


def test_every_field_name_that_is_read_is_documented():
    names = field_names()
    assert {"sensor_id", "actual_speed", "window_end", "confidence_score", "model_used", "forecast_horizon"} <= names
    assert names - documented() == set()


def test_every_documented_field_name_is_read():
    known = {text for tree in readers() for text in texts(tree)}
    bases = {name for name in known if name.endswith("horizon")}
    column = [row.split("|")[2] for row in fields_section().splitlines() if row.startswith("| `")]
    names = {name for cell in column for span in re.findall(r"`([a-z_.]+)`", cell) for name in span.split(".")}
    assert {"sensor_id", "base_data", "window_end"} <= names
    unread = {name for name in names - known if not any(name == f"{base}_minutes" for base in bases)}
    assert unread == set()
