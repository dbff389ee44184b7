"""Progress of a command: one line that is updated on a terminal, a line every few seconds elsewhere."""

import sys
import time

import click

_LOG_SECONDS = 10.0


class Progress:
    """Prints progress on standard error; `total` is the number of steps, None if unknown."""

    def __init__(self, total: int | None = None, every_seconds: float = _LOG_SECONDS) -> None:
        self._total = total
        self._terminal = sys.stderr.isatty()
        self._every_seconds = 0.1 if self._terminal else every_seconds
        self._begin = self._last = time.monotonic()
        self._open = False

    def show(self, text: str, done: int, sent: int) -> None:
        """Print a text with the number of messages and the time left, at a limited rate."""
        now = time.monotonic()
        if now - self._last < self._every_seconds and done != self._total:
            return
        self._last = now
        line = f"{text}  {sent:,} messages, {sent / max(now - self._begin, 1e-3):,.0f}/s{self._share(done, now)}"
        if self._terminal:
            click.echo(f"\r\x1b[K{line}", nl=False, err=True)
            self._open = True
        else:
            click.echo(line, err=True)

    def end(self) -> None:
        """End the updated line."""
        if self._open:
            click.echo(err=True)
            self._open = False

    def _share(self, done: int, now: float) -> str:
        if not self._total or not done:
            return ""
        left = (now - self._begin) / done * (self._total - done)
        minutes, seconds = divmod(round(left), 60)
        hours, minutes = divmod(minutes, 60)
        return f", {done / self._total:.0%}, {hours}:{minutes:02}:{seconds:02} left"
