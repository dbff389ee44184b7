"""Texts and names use the standard words of the field: `tools.dialect` counts the others."""

import subprocess
import sys

import pytest

from tools import dialect


def name_of(path):
    return path.relative_to(dialect.ROOT).as_posix()


CHECKED = dialect.tracked_files()


@pytest.mark.parametrize("path", CHECKED, ids=name_of)
def test_a_file_contains_no_dialect(path):
    assert dialect.count(path.read_text(encoding="utf-8")) == {}


def test_documents_and_top_level_files_are_checked():
    assert {"README.md", "ARCHITECTURE.md", "docs/messages.md", "app.py", "Makefile"} <= set(map(name_of, CHECKED))


def test_words_are_counted_whole_in_texts_and_names():
    assert dialect.count("Told, TOLD; retold, is_told, nobody's") == {"told": 3, "nobody": 1}


def test_phrases_are_counted_in_texts_and_names():
    assert dialect.count("let\ngo, def let_go(), outlet go") == {"let go": 2}


def test_the_script_prints_counts_per_file_and_in_total(tmp_path):
    document = tmp_path / "a.md"
    document.write_text("read anew, once more anew")
    command = [sys.executable, "-m", "tools.dialect", str(document)]
    printed = subprocess.run(command, cwd=dialect.ROOT, capture_output=True, text=True, check=True).stdout
    assert f"2 {document}: anew 2" in printed
    assert "2 in total" in printed
