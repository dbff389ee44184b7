"""End this process when its consumer can't recover: another process takes over, and cursors make that seamless."""

import os
import signal
import threading

EXIT_SECONDS = 25.0
"""Time for an orderly end: gunicorn's `graceful_timeout` of 20 s for running requests, and some for what follows."""
EXIT_STATUS = 70
"""EX_SOFTWARE of sysexits.h; gunicorn gives no meaning to it."""


def end_process() -> None:
    """End this process like SIGTERM does, and EXIT_SECONDS later in any case.

    In a gunicorn worker that is the usual shutdown: streams get `bye`, running requests end, and the master starts
    another worker. The development server ends at once.
    """
    last_resort = threading.Timer(EXIT_SECONDS, os._exit, (EXIT_STATUS,))
    last_resort.daemon = True
    last_resort.start()
    # To the main thread, which handles signals: its system call is interrupted.
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
