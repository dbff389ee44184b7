"""What `doctor` reports: one line per finding, with advice where something is wrong."""

from typing import NamedTuple

_LABELS = {True: "ok   ", None: "note ", False: "ERROR"}


class Finding(NamedTuple):
    """The result of one check: `ok` is None for a note, which is neither good nor bad."""

    ok: bool | None
    subject: str
    detail: str
    advice: str = ""

    def text(self) -> str:
        """Return the finding as it is printed, on one or two lines."""
        line = f"{_LABELS[self.ok]}  {self.subject}: {self.detail}"
        return f"{line}\n       → {self.advice}" if self.advice else line
