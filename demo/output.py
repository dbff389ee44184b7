"""Lines of several processes on one terminal, each with the name of where it comes from."""

import os
import sys
import threading

_WIDTH = 6
# Guards standard output: lines of two threads must not run into each other.
_lock = threading.Lock()


def say(name: str, text: str) -> bool:
    """Print text, each line after the name; return False when nobody reads it any more."""
    lines = "".join(f"{name:<{_WIDTH}} | {line}\n" for line in text.splitlines() or [""])
    with _lock:
        try:
            sys.stdout.write(lines)
            sys.stdout.flush()
            return True
        except OSError:
            # What is still to be said goes nowhere, or the interpreter would complain when it ends.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
            return False
