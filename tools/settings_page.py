"""Write docs/settings.md from the table in consumer/settings/fields.py: `python -m tools.settings_page`."""

from pathlib import Path

from consumer.settings import SECTIONS, table

PAGE = Path(__file__).resolve().parent.parent / "docs" / "settings.md"

INTRODUCTION = """\
# Settings

Generated from `consumer/settings/fields.py` by `python -m tools.settings_page`; do not edit.

Settings are environment variables. An empty variable counts as not set. A value that can't be used stops the start,
with an error that has the variable's name, the value and what is allowed. `flask --app app doctor` checks all settings.
How `BUFFER_BYTES` relates to the memory of a process is in [memory.md](memory.md).
"""

HEADER = """\
| Variable | Default | Unit | What it does |
|---|---|---|---|
"""


def page() -> str:
    """Return the page: one table per section, rows in the order of the class."""
    parts = [INTRODUCTION]
    for name, default, unit, text in table():
        if name in SECTIONS:
            parts.append(f"\n## {SECTIONS[name]}\n\n{HEADER}")
        shown = f"`{default}`" if default else ""
        parts.append(f"| `{name}` | {shown} | {unit} | {text} |\n")
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
