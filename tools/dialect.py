"""Count words that this project avoids, per file and in total: `python -m tools.dialect [FILE ...]`.

Without arguments all files under version control are read, except vendored libraries and generated data. Words are
matched whole and without regard to case. Names such as `is_told` do not count, since `_` belongs to a word.
"""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

WORDS = {
    "anew": "write again, restart or rebuild",
    "nobody": "name what is absent: no client, no thread",
    "somebody": "name who it is: a client, a caller",
    "anybody": "name who it is: any thread, any client",
    "everybody": "name who it is: all clients, all threads",
    "whoever": "name who it is: the caller, the client",
    "whom": "write who, or turn the sentence round",
    "meanwhile": "write while, during or at the same time",
    "told": "write sent, notified, informed or reported",
    "heard": "write received, answered or seen",
    "forgive": "write reset",
    "forgiven": "write reset",
    "trouble": "write error or failure",
    "patience": "write deadline, time limit or budget",
    "wish": "write request",
    "wishes": "write requests",
    "farewell": "write bye message or close",
    "deaf": "write blocked or unresponsive",
    "mend": "write fix or repair",
    "mends": "write fixes or repairs",
    "mended": "write fixed or repaired",
}
"""Each word with what to write instead. They are not wrong English, but they are not the field's terms."""

SUFFIXES = frozenset({".py", ".md", ".js", ".html", ".css", ".toml", ".json", ".conf", ".sh", ""})
SKIPPED = ("static/vendor/", "docs/chaos/", "package-lock.json", "LICENSE", "tools/dialect.py")
PATTERN = re.compile(rf"\b({'|'.join(WORDS)})\b", re.IGNORECASE)


def count(text: str) -> Counter[str]:
    """Return how often each word of the list occurs in a text."""
    return Counter(match.group().lower() for match in PATTERN.finditer(text))


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
