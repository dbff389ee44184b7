"""Output of several processes on one terminal: each line starts with the name of its process."""

import os
import sys
import threading

_WIDTH = 6
# Guards standard output, so that lines of two threads do not mix.
_lock = threading.Lock()
_is_closed = False


def write_lines(name: str, text: str) -> bool:
    """Print text, each line after the name. Return False once standard output is closed, to every caller."""
    global _is_closed
    lines = "".join(f"{name:<{_WIDTH}} | {line}\n" for line in text.splitlines() or [""])
    with _lock:
        try:
            sys.stdout.write(lines)
            sys.stdout.flush()
        except OSError:
            _is_closed = True
            # Discard further output: otherwise the interpreter would report an error at its end.
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, sys.stdout.fileno())
            os.close(null)
        return not _is_closed
