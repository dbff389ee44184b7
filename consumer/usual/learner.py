"""Learn usual speeds from the feed, on a thread of its own, so that the consumer never waits for the file.

    ring buffer ── one speed per segment and five minutes ── waiting, in memory ── every WRITE_SECONDS: the file

After each writing the errors of the usual speed are counted, for the scores.

Of several processes with one file one learns. The others try again, so that one of them goes on when it ends.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

from consumer.errors import StoreError
from consumer.view.feed import Feed
from consumer.view.ring import Entry

from .baseline import Baseline
from .quarters import Quarter, quarters_in
from .samples import code_of, steps_of
from .store import WINDOW, Counted, StoreReader, StoreWriter, open_writer, size_of

log = logging.getLogger("greenwave.usual")

INTERVAL_MS = 300_000
"""One speed counts per segment and interval, the first that is read: detectors usually report every five minutes."""
READ_ENTRIES = 1_000
READ_SECONDS = 0.2
WRITE_SECONDS = 10.0
RETRY_SECONDS = 10.0
MAX_WAITING = 20_000
"""Most speeds that wait to be written. While the file can't be written, reading stops there."""
STOP_SECONDS = 10.0

LearnerState = Literal["off", "starting", "learning", "reading", "failed"]
LEARNER_STATES: tuple[LearnerState, ...] = get_args(LearnerState)


class Learner:
    """Writes what the feed has into a file. Its thread learns; any thread reads the fields without an underscore.

    state      off: there is no file; learning; reading: another process learns; failed: see `error`
    segments   segments in the file, as far as this process knows
    missed     entries that left the ring buffer before they were read
    left_out   speeds of segments beyond MAX_SEGMENTS
    written    speeds that this process wrote
    written_at when it did so last, in epoch seconds; None before
    failures   attempts to open, read or write the file that failed
    file_bytes size of the file and its write-ahead log, when it was last opened or written
    """

    def __init__(
        self,
        feed: Feed,
        about: Mapping[str, str],
        now_ms: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        settings = feed.settings
        self._now_ms = now_ms
        self._max_future_ms = settings.max_future * 1000
        self._path = settings.usual_file
        self._max_segments = settings.max_segments
        self._feed = feed
        self._baseline = Baseline(feed, StoreReader(self._path, about))
        self._about = about
        self._clock = clock
        self._quarter = quarters_in(settings.usual_zone)
        self._steps = steps_of(settings.speed_unit)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="greenwave-usual", daemon=True)
        self._writer: StoreWriter | None = None
        self._counted: dict[str, Counted] = {}
        self._waiting: list[tuple[int, Quarter, int]] = []
        self._changed: dict[str, Counted] = {}
        self._next = 0
        self._next_id = 1
        self._write_at = self._open_at = 0.0
        self.state: LearnerState = "starting" if self._path else "off"
        self.error: str | None = None
        self.segments = self.missed = self.left_out = self.written = self.failures = self.file_bytes = 0
        self.written_at: float | None = None

    def start(self) -> None:
        """Start the thread, if there is a file."""
        if self._path:
            self._thread.start()

    def stop(self) -> None:
        """End the thread; what waits is written first."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while (is_usable := self._try(self.turn)) and not self._stopping.wait(READ_SECONDS):
            pass
        if self._writer is not None:
            if is_usable:
                self._try(self._work)
            self._try(self._writer.close)

    def turn(self) -> None:
        """Do what the thread does in one turn: open the file, read, and write what is due."""
        now = self._clock()
        if self._writer is None and now >= self._open_at:
            self._open_at = now + RETRY_SECONDS
            self._open()
        self._work(is_due=now >= self._write_at)

    def _work(self, is_due: bool = True) -> None:
        """Read what is new. When it is due, write it, and count the errors of the usual speed for what was scored."""
        with self._feed.locked() as state:
            end = state.ring.end
            self._baseline.take(state.scores.take_judged())
        is_full = self._baseline.is_full
        if self._writer is not None:
            self._read(end)
            if self._waiting and (is_due or (is_full and self.error is None)):
                self._write()
        if (is_due or is_full) and self._baseline.count():
            self._write_at = self._clock() + WRITE_SECONDS

    def _try(self, action: Callable[[], object]) -> bool:
        """Run an action and note its errors; return whether the file may still be used."""
        try:
            action()
        except (OSError, sqlite3.OperationalError) as error:  # a full disk, a lock, a folder that is missing
            self._fail(f"{error}; it is tried again")
        except (sqlite3.Error, StoreError) as error:
            self._fail(f"{error}; move the file away and restart to learn from the beginning")
            return False
        except Exception as error:
            log.exception("learning usual speeds failed")
            self._fail(f"{error!r}; restart to learn again")
            return False
        return True

    def _fail(self, error: str) -> None:
        text = f"USUAL_FILE={self._path!r} can't be used: {error}"
        if text != self.error:
            log.error("%s. All else goes on without usual speeds", text)
        self.state, self.error = "failed", text
        self.failures += 1

    def _open(self) -> None:
        """Open the file, unless another process has it; continue with the oldest entry of the ring buffer."""
        self._writer = open_writer(self._path, self._about, self._latest())
        if self._writer is None:
            self.state, self.error, self.file_bytes = "reading", None, size_of(self._path)
            return
        self._counted = self._writer.segments()
        self._next_id = max((each.id for each in self._counted.values()), default=0) + 1
        self.segments, self.file_bytes = len(self._counted), size_of(self._path)
        with self._feed.locked() as state:
            self._next = state.ring.oldest
        self.state, self.error = "learning", None
        log.info("usual speeds are learnt into %s, which has %d segments", self._path, self.segments)

    def _latest(self) -> int:
        """Return the last interval that can have been measured by now; a day later, since it is for gross errors."""
        return (self._now_ms() + self._max_future_ms) // INTERVAL_MS + WINDOW

    def _read(self, end: int) -> None:
        """Read what is new in the ring buffer, up to the entry `end`."""
        while self._next < end:
            if len(self._waiting) >= MAX_WAITING:
                if self.error is not None and self._clock() < self._write_at:
                    return
                self._write()
            with self._feed.locked() as state:
                ring = state.ring
                if self._next < ring.oldest:
                    self.missed += ring.oldest - self._next
                    self._next = ring.oldest
                entries = ring.read(self._next, max(0, min(READ_ENTRIES, end - self._next)))
            self._next += len(entries)
            self._take(entries)

    def _take(self, entries: Sequence[Entry]) -> None:
        """Take the speeds that count. This runs for every prediction, so the usual case makes few calls."""
        counted, latest = self._counted, self._latest()
        for entry in entries:
            item = entry.item
            if item is None or (speed := item.current_speed) is None:
                continue
            segment_id, interval = item.segment_id, item.timestamp // INTERVAL_MS
            known = counted.get(segment_id)
            if known is None:
                known = self._add(segment_id, interval)
                if known is None:
                    continue
            elif known.newest == interval or not known.count(interval, latest):
                continue
            self._waiting.append((known.id, self._quarter(item.timestamp), code_of(speed, self._steps)))
            self._changed[segment_id] = known

    def _add(self, segment_id: str, interval: int) -> Counted | None:
        """Add a segment whose first interval counts; None when there are too many."""
        if self.segments >= self._max_segments:
            if not self.left_out:
                log.warning("usual speeds of more than %d segments (MAX_SEGMENTS) are not learnt", self._max_segments)
            self.left_out += 1
            return None
        known = self._counted[segment_id] = Counted(self._next_id, interval)
        self._next_id += 1
        self.segments += 1
        return known

    def _write(self) -> None:
        assert self._writer is not None
        self._write_at = self._clock() + WRITE_SECONDS
        self._writer.add(self._waiting, self._changed)
        self.written += len(self._waiting)
        self.written_at, self.file_bytes = time.time(), size_of(self._path)
        self._waiting, self._changed = [], {}
        if self.error is not None:
            self.state, self.error = "learning", None
            log.info("usual speeds are learnt again")
