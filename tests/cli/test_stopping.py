"""The end of a command by a signal."""

import signal
import threading
import time

from cli.stopping import stop_event


def test_a_signal_that_does_not_interrupt_the_wait_ends_it():
    def send():
        time.sleep(0.1)  # until the main thread waits
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    with stop_event() as stop:
        thread = threading.Thread(target=send)
        thread.start()
        assert stop.wait(60)
        thread.join()


def test_a_wait_without_a_signal_ends_after_its_time():
    with stop_event() as stop:
        assert not stop.wait(0.01)
        assert not stop.is_set()
