"""Documents: links resolve, and what they list is what the code has."""

import re
from pathlib import Path

import pytest

from app import COMMANDS, create_app
from consumer import Settings

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
DECISIONS = ROOT / "docs" / "decisions"


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


def test_files_that_documents_and_requirements_name_exist():
    # Decisions and the changelog may name what is gone.
    texts = [path for path in DOCUMENTS if path.parent != DECISIONS and path.name != "CHANGELOG.md"]
    folders = "consumer|web|cli|demo|tests|tools|bench|static|templates|docs|deploy|clients"
    pattern = rf"(?<![\w/.-])(?:{folders})/[\w/-]+\.(?:py|js|md|toml|json|css|html|yml|conf)\b"
    named = {
        (name_of(path), file)
        for path in [*texts, *ROOT.glob("requirements*.txt")]
        for file in re.findall(pattern, path.read_text(encoding="utf-8"))
    }
    assert len(named) > 50
    missing = {each for each in named if not (ROOT / each[1]).exists()}
    assert missing == {("docs/languages.md", "static/js/texts/CODE.js")}  # CODE stands for a language


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


def test_contributing_names_the_coverage_floor():
    floor = re.search(r"^COVERAGE_FLOOR := (\d+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert floor
    assert f"less than {floor[1]} % of the lines" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def targets():
    """Return the targets that `make help` lists."""
    return set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def test_documents_name_only_commands_that_exist():
    texts = "".join(each.read_text(encoding="utf-8") for each in DOCUMENTS)
    assert set(re.findall(r"`make ([a-z-]+)", texts)) - targets() == set()


def test_each_command_is_phony():
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert phony
    assert set(phony[1].split()) == targets()


def test_the_readme_lists_the_routes():
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Routes\n")[2].partition("\n## ")[0]
    first_column = re.findall(r"^\| (.+?) \|", table, re.MULTILINE)
    named = set(re.findall(r"`(?:GET )?(/[\w/.-]+)", " ".join(first_column))) | set(
        re.findall(r"also at `([\w/]+)`", table)
    )
    rules = {
        re.sub("<path:name>", "ROAD", re.sub(r"<\w+:segment_id>", "SEGMENT", rule.rule))
        for rule in create_app(Settings(), None).url_map.iter_rules()
    }
    assert named == rules - {"/static/<path:filename>", "/", "/predictions/"}


def test_the_readme_lists_the_commands():
    named = set(
        re.findall(r"^\| `flask --app app ([\w-]+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert named == set(COMMANDS)


def metrics():
    """Return the names of the product's metrics, as they are exposed."""
    files = ("web/api/metrics.py", "web/streams/measurements.py")
    source = "".join((ROOT / each).read_text(encoding="utf-8") for each in files)
    counters = set(re.findall(r'(?:_counter|CounterMetricFamily)\(\s*"(greenwave_\w+)"', source))
    names = set(re.findall(r'"(greenwave_\w+)"', source)) - counters | {f"{name}_total" for name in counters}
    return names | {"greenwave_info"}  # the client adds its suffix


def test_the_metrics_that_documents_name_exist():
    texts = "".join(each.read_text(encoding="utf-8") for each in DOCUMENTS)
    named = set(re.findall(r"`[^`\n]*\b(greenwave_\w+)", texts))
    assert len(named) > 5
    assert named - metrics() == {"greenwave_polls_waiting", "greenwave_client"}  # an example, and a package


def test_each_metric_is_described():
    page = (ROOT / "docs" / "operations" / "metrics.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(greenwave_\w+)` \|", page, re.MULTILINE)) == metrics()


def test_the_glossary_names_files_that_exist():
    named = re.findall(
        r"`((?:consumer|web|demo)/[\w/.]+)`", (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    )
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).exists()] == []
