"""Count words that this project avoids, per file and in total: `python -m tools.dialect [FILE ...]`.

Without arguments all files under version control are read, except vendored libraries and generated data. Words are
matched whole and without regard to case; a name such as `is_told` counts, too, since `_` separates words.
"""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

WORDS = {
    "anew": "again, or restart, rebuild",
    "nobody": "what is absent: no client, no thread",
    "somebody": "who it is: a client, a caller",
    "anybody": "who it is: any thread, any client",
    "everybody": "who it is: all clients, all threads",
    "whoever": "who it is: the caller, the client",
    "whom": "who, or turn the sentence round",
    "meanwhile": "while, during, at the same time",
    "told": "sent, notified, informed, reported",
    "heard": "received, answered, seen",
    "forgive": "reset",
    "forgives": "resets",
    "forgiven": "reset",
    "trouble": "error, failure",
    "troubles": "errors, failures",
    "patience": "deadline, time limit, budget",
    "wish": "request",
    "wishes": "requests",
    "farewell": "bye message, close",
    "deaf": "blocked, unresponsive",
    "mend": "fix, repair",
    "mends": "fixes, repairs",
    "mended": "fixed, repaired",
    "mending": "fixing, repairing",
    "let go": "release, close, free",
    "lets go": "releases, closes, frees",
    "letting go": "releasing, closing, freeing",
    "at hand": "available, present",
    "no word from": "no response from",
    "last word": "last response",
    "last words": "last output",
}
"""Each word or phrase with what to write instead. They are not wrong English, but they are not the field's terms."""

SUFFIXES = frozenset({".py", ".md", ".js", ".html", ".css", ".toml", ".json", ".conf", ".sh", ""})
_LISTS = ("tools/dialect.py", "tests/test_language.py")
SKIPPED = ("static/vendor/", "package-lock.json", "LICENSE", *_LISTS)
_ALTERNATIVES = "|".join(map(re.escape, WORDS)).replace(r"\ ", r"[\s_]+")
PATTERN = re.compile(rf"(?<![^\W_])({_ALTERNATIVES})(?![^\W_])", re.IGNORECASE)


def count(text: str) -> Counter[str]:
    """Return how often each word of the list occurs in a text."""
    return Counter(re.sub(r"[\s_]+", " ", match.group().lower()) for match in PATTERN.finditer(text))


def tracked_files() -> list[Path]:
    """Return the files under version control that are read, in the order of their names."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = [name for name in listed.split("\0") if name and not name.startswith(SKIPPED)]
    return [ROOT / name for name in names if Path(name).suffix in SUFFIXES and (ROOT / name).is_file()]


def main(arguments: list[str]) -> None:
    """Print the counts of the given files, or of all."""
    total: Counter[str] = Counter()
    for path in [Path(name).resolve() for name in arguments] or tracked_files():
        found = count(path.read_text(encoding="utf-8"))
        if found:
            shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
            print(f"{found.total():5} {shown}: {', '.join(f'{word} {times}' for word, times in found.most_common())}")
        total += found
    print(f"{total.total():5} in total")
    for word, times in total.most_common():
        print(f"{times:5} {word}: {WORDS[word]}")


if __name__ == "__main__":
    main(sys.argv[1:])
