"""What `doctor` reports: one line per finding, and advice where something is wrong."""

from typing import NamedTuple

_LABELS = {True: "ok   ", None: "note ", False: "ERROR"}


class Finding(NamedTuple):
    """The result of one check: `ok` is None for a note, which is neither good nor bad."""

    ok: bool | None
    subject: str
    detail: str
    advice: str = ""

    def text(self) -> str:
        """Return the finding as it is printed, with a further line for each line of advice."""
        advice = [f"       → {line}" for line in self.advice.splitlines()]
        return "\n".join([f"{_LABELS[self.ok]}  {self.subject}: {self.detail}", *advice])
