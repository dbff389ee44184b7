"""The stack of a thread, for a log line about one that hangs."""

import sys
import threading
import traceback


def stack_of(thread: threading.Thread) -> str:
    """Return the innermost frames of a thread as text."""
    frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001 - documented, in spite of its name
    return "".join(traceback.format_stack(frame)[-6:]) if frame else "(it has just ended)"
