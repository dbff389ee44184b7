"""The app over this process' own consumer, whose source hangs for ever once /hang is requested."""

import os
import threading

from msgspec import structs

import consumer
from app import create_app
from consumer.settings import load
from consumer.sources.memory import MemorySource, MemoryTopic
from consumer.sources.record import Record
from web.logs import configure

settings = structs.replace(load(os.environ), watchdog_seconds=1.0, kafka_silence_seconds=0.5)
configure(settings)
topic = MemoryTopic()
hangs = threading.Event()


class Hanging(MemorySource):
    """A source whose poll hangs."""

    def poll(self, timeout: float) -> list[Record]:
        """Hang when that was requested."""
        if hangs.is_set():
            threading.Event().wait()
        return super().poll(timeout)


app = create_app(settings)
# The worker's hook finds it started.
consumer.start(timeout=0, settings=settings, open_source=lambda _: Hanging(topic))


@app.get("/hang")
def hang() -> str:
    """Let the next call of the client hang."""
    hangs.set()
    return "done"
