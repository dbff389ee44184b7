"""The consumer thread: it opens its source, waits for what it needs, reads, and says at each moment how it stands.

    starting ──> catching_up ──> live ──> reconnecting ──> circuit_open
                     ^                         │                │
                     └──── an answer ──────────┴────────────────┘

*Live* is proven: every partition was positioned and read up to the high watermark of its first fetch, and the broker
was heard within the limit, and so was the leader of each partition. A quiet topic is live; a dead broker is not. While
the leaders of some partitions are silent, the others are read and delivered. A process that falls more than MAX_LAG
behind the end of the topic is catching up again.

How it ends: `stop()` sets an event that every wait looks at, the thread closes its source and is joined. Kafka's errors
are waited out with the same source, which reconnects by itself. An unexpected error is logged with its traceback, and a
new source goes on from the feed's position. A call that hangs is left behind with its thread; a new thread goes on. So
it does when the thread ended, whatever it died of: only `stop()` ends a consumer.
"""

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from consumer.errors import NotReady, SourceError, SourceLost
from consumer.events import WITHOUT_KAFKA, Gap, State, Status
from consumer.messages.clock import Clock
from consumer.messages.intake import Intake
from consumer.messages.network import load_network
from consumer.messages.normalise import Normalised, Normaliser, Refusal
from consumer.messages.quarantine import Quarantine
from consumer.messages.refusal import count_refused
from consumer.resume.replay import Replays
from consumer.resume.subscriptions import Subscriptions
from consumer.settings import Settings
from consumer.sources import open_kafka
from consumer.sources.base import Expired, Reading, Source, Truncated
from consumer.sources.record import Record, Topic
from consumer.sources.security import security_options
from consumer.times import UNKNOWN_MS
from consumer.view.cursor import Position, offset_of, place
from consumer.view.feed import Feed

from .attempts import Attempts
from .backlog import offsets_since, start_offsets
from .lag import Lag
from .watchdog import Watchdog

log = logging.getLogger("greenwave.consumer")

POLL_SECONDS = 0.2
"""How long the thread may not look at its stop event: the Kafka client has no wake-up."""
BACKOFF_SECONDS = 0.5
"""First delay after an error; it doubles up to CIRCUIT_PROBE_SECONDS."""
REFRESH_SECONDS = 2.0
BURST_RECORDS = 100
"""A batch of fewer records is no burst: streams have time to read it before the next one comes."""
STREAMS_BEHIND_SECONDS = 0.005
"""How often to look again whether streams that are behind have read on."""
SLICE_ITEMS = 1_000
"""So many predictions and refusals are taken in at once: under one lock, in some 15 ms, so that nobody who asks the
feed meanwhile waits much longer; and before the thread says again that it is well."""
REFUSED_IN_A_ROW = 100
"""So many messages that can't be read, one after another, are a warning; before the first that can, any number is."""
STALLED = "the consumer thread is stalled"
CONNECTING = "connecting to Kafka"
SEE_LOG = "the server's log says what is wrong"
"""Clients see neither addresses of brokers nor errors of the Kafka client."""
FAILED = f"a request to Kafka failed; {SEE_LOG}"
HANG_BACKOFF_SECONDS = 600.0
"""Longest wait before a thread that hung is replaced: while others still hang, each of them doubles the wait."""
MAX_LEFT_BEHIND = 16
"""Threads that may hang beside the one at work; with so many the next is not replaced, but waited for."""
WARN_EVERY_SECONDS = 10.0
"""Shortest time between two warnings of evictions."""
READERS_SECONDS = 1.0
"""How long readers for replays have to end; one that Kafka keeps longer ends by itself."""


class _Abandoned(Exception):
    """This thread hung, and another one has taken its place."""


class Consumer:
    """The thread, its feed and its quarantine. Constructing it starts nothing.

    Raises SettingsError for a certificate or a network that can't be read.
    """

    def __init__(
        self,
        settings: Settings,
        open_source: Callable[[Settings], Source] = open_kafka,
        poll_seconds: float = POLL_SECONDS,
        clock: Clock | None = None,
    ) -> None:
        security_options(settings)  # certificates that can't be read are wrong settings: they fail here, at once
        self.settings = settings
        self.network = load_network(settings.network_file, settings.network_id_property)
        if self.network.skipped is not None:
            log.warning("NETWORK_FILE: %s", self.network.skipped)
        self.clock = clock or Clock()
        self._normalise = Normaliser(settings, self.network, self.clock.now_ms)
        self.feed = Feed(settings, now_ms=self.clock.now_ms)
        self.subscriptions = Subscriptions(self.feed, Replays(settings, open_source, self._normalise))
        self.quarantine = Quarantine(settings.topic, settings.quarantine_entries)
        self.attempts = Attempts(settings.circuit_failures, settings.circuit_probe_seconds)
        self._open_source = open_source
        self._poll_seconds = poll_seconds
        self._stopping = threading.Event()
        # Guards which thread may write to the feed: one that hung must not, should it ever wake.
        self._fence = threading.Lock()
        self._watchdog = Watchdog(
            settings.watchdog_seconds, self._replace_thread, settings.kafka_silence_seconds, self._say_stalled
        )
        self._thread = self._new_thread()
        self._source: Source | None = None
        self._topic: Topic | None = None
        self._readings: list[Reading] = []
        self._lag = Lag(settings.max_lag)
        self._refused_in_a_row = Intake()
        self._has_read = False
        self._silent: list[int] = []
        self._is_throttled = False
        self._records = self._unclear_horizons = 0
        self._last_ms: dict[int, int] = {}
        self._started = time.time()
        self._behind_ms = 0
        self._evicted, self._may_warn_at = 0, 0.0
        self._failures = self._restarts = self._replaced = 0
        self._left_behind: list[threading.Thread] = []

    # For everybody

    def start(self) -> None:
        """Start the thread, once."""
        self._thread.start()
        self._watchdog.watch(self._thread)
        self._watchdog.start()

    def stop(self, timeout: float = 10.0) -> None:
        """End the thread and the readers for replays, and wait for them; subscriptions wake up."""
        self._watchdog.stop()  # first, so that nobody takes the end of the thread for a loss
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        self.subscriptions.close()
        self.subscriptions.join(READERS_SECONDS)

    def wait_ready(self, timeout: float) -> None:
        """Wait until the consumer is live.

        Raises NotReady after `timeout` seconds, which says what is missing and since when; the thread goes on trying.
        """
        status = self.feed.wait_for_status(lambda status: status.state in ("live", "stopped"), timeout)
        if status.state != "live":
            seconds = time.time() - status.since
            raise NotReady(f"not ready after {timeout:g} s: {status.state} for {seconds:.1f} s, {status.in_full}")

    @property
    def stopped(self) -> bool:
        """Whether stop() was called; until then a thread that is lost is replaced."""
        return self._stopping.is_set()

    @property
    def alive(self) -> bool:
        """Whether the thread runs at this moment."""
        return self._thread.is_alive()

    @property
    def ready(self) -> bool:
        """Whether what is served is known to be current: live, with the broker's word and the thread's beat recent."""
        return self.not_ready is None

    @property
    def not_ready(self) -> str | None:
        """Why what is served is not known to be current; None when it is."""
        status, limit = self.feed.status, self.settings.kafka_silence_seconds
        silent, stalled = self.broker_silent_seconds, self.stalled_seconds
        missing = []
        if not self.alive:
            missing.append("the consumer thread has ended")
        elif stalled > limit:
            missing.append(f"{STALLED} for {stalled:.0f} s")
        if status.state != "live" and not (missing and status.reason == STALLED):
            missing.append(f"{status.state}, {status.reason}")
            if self.throttled:
                missing.append("throttled by a quota of the broker's")
        elif silent is None or silent > limit + 2 * self._poll_seconds:
            missing.append("no word from the broker" + ("" if silent is None else f" for {silent:.0f} s"))
        return "; ".join(missing) or None

    @property
    def broker_silent_seconds(self) -> float | None:
        """Seconds since the broker's last word; None before the first."""
        source = self._source
        heard = source.status().last_response if source else None
        return None if heard is None else max(0.0, time.monotonic() - heard)

    @property
    def leader_silent_seconds(self) -> list[float]:
        """Seconds for which the leader of each partition has answered no fetch."""
        source = self._source
        return list(source.status().leader_silent_seconds) if source else []

    @property
    def throttled(self) -> bool:
        """Whether a quota of the broker's holds back answers to this client."""
        return self._is_throttled

    @property
    def readings(self) -> list[Reading]:
        """Where each partition is read."""
        return self._readings

    @property
    def lag_seconds(self) -> list[float]:
        """Seconds that each partition is read behind its end."""
        return self._lag.seconds()

    @property
    def uptime_seconds(self) -> float:
        """Seconds since the consumer was made."""
        return time.time() - self._started

    def record_ages(self) -> dict[int, float]:
        """Return the age of the last record read, by partition: seconds since the time that Kafka has of it.

        That is the producer's clock unless the topic has the broker's (LogAppendTime): a time to come counts as now. A
        partition of which no record was read, or whose last one has no time that can be used, is left out.
        """
        now = time.time()
        last = self._last_ms.copy()
        return {partition: max(0.0, now - ms / 1000) for partition, ms in last.items() if ms != UNKNOWN_MS}

    @property
    def records(self) -> int:
        """Records read, refused ones included."""
        return self._records

    @property
    def refused_in_a_row(self) -> int:
        """Messages refused since one was read."""
        return self._refused_in_a_row.messages

    @property
    def unclear_horizons(self) -> int:
        """Predictions whose horizon had to be rounded to a whole minute, or can't be told from what they state."""
        return self._unclear_horizons

    @property
    def restarts(self) -> int:
        """How often the thread began anew after an unexpected error, a hang or its end."""
        return self._restarts + self._replaced

    @property
    def stalled_seconds(self) -> float:
        """Seconds since the thread last went round its loop."""
        return self._watchdog.silent_seconds

    # The thread

    def _new_thread(self, delay: float | None = None) -> threading.Thread:
        return threading.Thread(target=self._run, args=(delay,), name="greenwave-consumer", daemon=True)

    def _replace_thread(self) -> None:
        """Go on with another thread and a source of its own; one that hangs is left behind, and its source closed."""
        with self._fence:
            stuck = [thread for thread in (*self._left_behind, self._thread) if thread.is_alive()]
            if len(stuck) > MAX_LEFT_BEHIND:
                log.error(
                    "%d threads hang; this one is waited for. A restart of the process would end them", len(stuck)
                )
                return
            self._left_behind = stuck
            self._replaced += 1
            source, self._source, self._topic = self._source, None, None
            others = len(stuck) - 1
            delay = min(HANG_BACKOFF_SECONDS, self.settings.watchdog_seconds * 2 ** (others - 1)) if others > 0 else 0.0
            self._thread = self._new_thread(delay)
            self._watchdog.watch(self._thread)
            self._thread.start()
        if source is not None:
            # It may hang, too. Where it doesn't, it ends the call that hangs.
            threading.Thread(target=_close, args=(source,), name="greenwave-closer", daemon=True).start()

    def _say_stalled(self) -> None:
        """Say for a thread that hangs, or is very slow, that what is served may be old; its next step takes it back."""
        if self.feed.status.state not in WITHOUT_KAFKA:
            log.warning("reconnecting: %s", STALLED)
            with self._fence:
                self.feed.announce(Status("reconnecting", time.time(), STALLED))
                self.subscriptions.reset_timeouts()

    def _run(self, delay: float | None) -> None:
        """Serve until stop(); `delay` is that of a thread that takes another one's place."""
        try:
            if delay is None:
                self._enter("starting", CONNECTING, detail=self._brokers)
            else:
                self._enter("reconnecting", "the consumer thread was lost, see the log; started anew", delay or None)
                self._wait(delay)
            while not self._stopping.is_set():
                self._run_once()
            self._enter("stopped", "stop() was called")
        except _Abandoned:
            log.warning("a thread that hung came back; another one has taken its place, so it ends")
        except BaseException:
            log.exception("the consumer thread ends; another one takes its place")

    def _run_once(self) -> None:
        """Open a source and serve it until stop() is called or something unexpected happens."""
        source: Source | None = None
        try:
            self.attempts.begin()
            source = self._open()
            while not self._stopping.is_set():
                self._guarded_step(source)
        except _Abandoned:
            raise
        except SourceLost as error:
            self._beat()
            log.exception("the Kafka client is lost; another one goes on from its position")
            self._restarts += 1
            self._back_off(FAILED, str(error))
        except SourceError as error:
            self._back_off(FAILED, str(error))
        except Exception as error:
            self._beat()
            log.exception("the consumer thread failed; it starts again from its position")
            self._restarts += 1
            self._back_off(f"unexpected {type(error).__name__}, see the log")
        finally:
            self._let_go(source)

    def _open(self) -> Source:
        source = self._open_source(self.settings)
        try:
            with self._own_fence():
                self._source = source
        except _Abandoned:
            _close(source)
            raise
        return source

    def _let_go(self, source: Source | None) -> None:
        """Close a source, unless another thread has taken this one's place and closes it."""
        with self._fence:
            if source is None or self._source is not source:
                return
            self._source = self._topic = None
        _close(source)

    def _guarded_step(self, source: Source) -> None:
        """Take one step; an error of Kafka's is waited out with the same source."""
        self._beat()
        self.subscriptions.tidy()
        try:
            self._step(source)
            self._failures = 0
        except SourceLost:
            raise
        except SourceError as error:
            self._beat()
            self._topic = None
            self._back_off(FAILED, str(error))

    def _beat(self) -> None:
        """Tell the watchdog that all is well, unless another thread has taken this one's place."""
        if threading.current_thread() is not self._thread:
            raise _Abandoned
        self._watchdog.beat()

    def _back_off(self, reason: str, detail: str = "") -> None:
        """Wait before the next try: exponential, with jitter, so that processes don't come back in step."""
        longest = min(self.settings.circuit_probe_seconds, BACKOFF_SECONDS * 2 ** min(self._failures, 10))
        delay = random.uniform(min(BACKOFF_SECONDS, longest) / 2, longest)
        self._failures += 1
        self._enter("reconnecting", reason, round(delay, 1), detail)
        self._wait(delay)

    def _wait(self, seconds: float) -> None:
        """Wait, and beat meanwhile: a back-off is no hang."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self._stopping.wait(min(left, self._poll_seconds)):
            self._beat()

    def _step(self, source: Source) -> None:
        """Look at what metadata says (silence, a return, another topic, more partitions), then read."""
        topic = source.status().topic if self._hears(source) else None
        if topic is None:
            self._say_what_is_missing(source)
            self._stopping.wait(min(self._poll_seconds, 0.05))
            return
        if topic != self._topic or not (self._silent or self.feed.status.state in ("catching_up", "live")):
            # Back after a silence, too: an assignment made anew forgets the old high watermarks, so that `live`
            # is proven by fetches made since.
            self._position(source, topic)
        self._read(source)

    def _hears(self, source: Source) -> bool:
        """Tell whether the broker was heard recently, and keep up the attempts while it was not."""
        word = source.status().last_response
        if word is not None and time.monotonic() - word <= self.settings.kafka_silence_seconds:
            self.attempts.succeed()
            return True
        self.attempts.begin()
        if self.attempts.due():
            source.request_metadata()
        return False

    def _say_what_is_missing(self, source: Source) -> None:
        """Enter the state for a topic that can't be read just now, if it is news."""
        state: State = "starting" if self.feed.status.state == "starting" else "reconnecting"
        if self.attempts.breaker == "open":
            state = "circuit_open"
        reason, detail = self._missing(source)
        status = self.feed.status
        if (state, reason, detail) != (status.state, status.reason, status.detail):
            self._enter(state, reason, self.attempts.retry_in, detail)
        else:
            status.retry_at = _from_now(self.attempts.retry_in)

    def _missing(self, source: Source) -> tuple[str, str]:
        """Return what is missing, and the detail for the operator."""
        if self.attempts.retry_in is None:
            topic = self.settings.topic
            return f"topic {topic} does not exist, or may not be seen; it is picked up when it is there", ""
        trouble = source.status().connection_errors
        reason = self._silence(source) + (f"; {SEE_LOG}" if trouble else "")
        is_connecting = source.status().last_response is None and self.attempts.breaker != "open"
        return reason, "; ".join(filter(None, [self._brokers if is_connecting else None, trouble]))

    def _silence(self, source: Source) -> str:
        if self.attempts.breaker == "open":
            failures, seconds = self.settings.circuit_failures, self.settings.circuit_probe_seconds
            return f"no answer to {failures} attempts and more; probing at most every {seconds:g} s"
        if source.status().last_response is None:
            return CONNECTING
        return f"no word from the broker for {self.settings.kafka_silence_seconds:g} s"

    @property
    def _brokers(self) -> str:
        return ", ".join(self.settings.brokers)

    def _position(self, source: Source, topic: Topic) -> None:
        """Assign all partitions: where the feed stands, else where the backlog begins."""
        before = self.feed.position
        log.info("connected; topic %s has %d partitions", self.settings.topic, topic.partitions)
        if before is not None and before.incarnation == topic.incarnation:
            self.feed.grow(topic.partitions)
            offsets = self._offsets()
        elif before is None:
            offsets = self._backlog(source)
            self._begin(topic, offsets, None)
        else:
            offsets = [0] * topic.partitions
            self._last_ms = {}
            self._refused_in_a_row, self._has_read = Intake(), False
            self._begin(topic, offsets, Gap("topic_recreated", None))
        self._topic = topic
        self._silent = []
        self._assign(source, offsets)

    def _backlog(self, source: Source) -> list[int]:
        backlog = self.settings.backlog
        bounds = source.bounds()
        if backlog.seconds is None:
            return start_offsets(bounds, None, backlog.records)
        since_ms = int((time.time() - backlog.seconds) * 1000)
        return start_offsets(bounds, offsets_since(since_ms, bounds, source.offsets_at), backlog.records)

    def _begin(self, topic: Topic, offsets: Sequence[int], break_: Gap | None) -> None:
        if break_ is not None:
            log.warning("reading does not go on where it was: %s", break_.reason)
        with self._own_fence():
            self.feed.begin(Position(topic.incarnation, tuple(map(place, offsets))), break_)

    def _assign(self, source: Source, offsets: Sequence[int]) -> None:
        source.assign(offsets)
        self._lag.clear()
        log.info("partitions assigned: %s", ", ".join(map(str, range(len(offsets)))))
        self._enter("catching_up", f"positioned at offsets {', '.join(map(str, offsets))}")

    def _read(self, source: Source) -> None:
        try:
            records = source.poll(self._poll_seconds)
        except Expired as expired:
            self._skip(source, expired)
            return
        except Truncated as truncated:
            self._go_back(source, truncated)
            return
        self._beat()
        if source.status().topic != self._topic:
            # Another topic, or none, since the step began: what was fetched is not delivered, and the next step
            # positions anew at what was.
            self._topic = None
            return
        if records:
            self._deliver(records)
        self._readings = list(source.status().readings)
        self.feed.advance([reading.offset for reading in self._readings])
        self._look_at_ends(source)
        self._note_throttle(source)
        self._look_at_leaders(source)
        self._lag.note(self._readings)
        self._look_at_lag()

    def _look_at_lag(self) -> None:
        """Enter `live` when all is read that was there at first, and leave it when too much is unread for too long."""
        state = self.feed.status.state
        if state == "catching_up" and self._lag.has_caught_up:
            self.attempts.proven()
            self._enter("live", "read up to the high watermark of every partition")
        elif state == "live" and self._lag.is_behind and not (self._is_throttled and self._lag.is_falling):
            log.warning("the consumer is %.0f s behind the end of the topic", self._lag.max_seconds)
            self._enter("catching_up", f"more than {self.settings.max_lag:g} s behind the end of the topic (MAX_LAG)")

    def _look_at_ends(self, source: Source) -> None:
        """Ask where the topic ends when a client may be ahead of it: one question at a time, whatever the clients."""
        wanted = self.feed.ends_wanted_since
        answer = source.ends_since(wanted) if wanted is not None else None
        if answer is not None:
            self.feed.note_ends(*answer)

    def _note_throttle(self, source: Source) -> None:
        """Log when a quota of the broker's begins to hold answers back, and when it no longer does."""
        is_throttled = source.status().is_throttled
        if is_throttled and not self._is_throttled:
            log.warning("throttled: a quota of the broker holds back answers to this client")
        elif self._is_throttled and not is_throttled:
            log.info("no longer throttled")
        self._is_throttled = is_throttled

    def _look_at_leaders(self, source: Source) -> None:
        """Say of which partitions the leader is silent; when all answer again, prove anew that all is read."""
        leaderless = self._leaderless()
        if self._silent and not leaderless:
            # `live` is proven by fetches made since; what was fetched stays.
            source.forget_high_watermarks()
            self._lag.clear()
            self._readings = list(source.status().readings)
            self._enter("catching_up", "the leaders of all partitions answer again")
        self._silent = leaderless
        status, reason = self.feed.status, _no_word_of(leaderless)
        if leaderless and (status.state, status.reason) != ("reconnecting", reason):
            self._enter("reconnecting", reason)

    def _leaderless(self) -> list[int]:
        """Return the partitions whose leader is silent for longer than a fetch that has nothing to give may take."""
        limit = self.settings.kafka_silence_seconds + self.settings.kafka_fetch_max_wait_ms / 1000
        return [partition for partition, seconds in enumerate(self.leader_silent_seconds) if seconds > limit]

    def _deliver(self, records: Sequence[Record]) -> None:
        for batch in self._slices(records):
            self._beat()
            with self._own_fence():
                unknown = self.feed.publish(batch)
            self._records += len(batch)
            last = {record.partition: record for record, _ in batch}
            self._last_ms |= {partition: record.time_ms for partition, record in last.items()}
            for record, normalised in batch:
                if normalised.refusals:
                    self.quarantine.add(record, normalised.refusals)
                if normalised.unclear_horizons:
                    self._count_unclear(record, normalised.unclear_horizons)
                if normalised.refusals or self._refused_in_a_row.messages or not self._has_read:
                    self._count_in_a_row(record, normalised)
            self._warn()
            for record in unknown:
                self.quarantine.add(record, [Refusal(None, "unknown_tombstone", "its key is no segment that is known")])
            self.feed.warn(self._warning())
            if len(batch) >= BURST_RECORDS:
                self._let_streams_read()

    def _let_streams_read(self) -> None:
        """Wait for streams that a burst would push off the ring buffer."""
        while self.feed.has_streams_behind() and not self._stopping.wait(STREAMS_BEHIND_SECONDS):
            self._beat()

    def _warning(self) -> str | None:
        """Return what is wrong with a topic whose messages can't be read; None when they can."""
        refused, least = self._refused_in_a_row, REFUSED_IN_A_ROW if self._has_read else 1
        if refused.messages < least:
            return None
        which = "the last " if self._has_read else ""
        messages = f"{which}{refused.messages:,} message{'s' * (refused.messages > 1)}"
        return f"{messages} came, none could be read: {refused.reasons()}"

    def _count_in_a_row(self, record: Record, normalised: Normalised) -> None:
        """Count the messages that can't be read, one after another; the first that can ends that."""
        if normalised.refusals and not normalised.predictions:
            self._refused_in_a_row.take(record, normalised)
        elif normalised.predictions:
            self._has_read = True
            if self._refused_in_a_row.messages:
                self._refused_in_a_row = Intake()

    def _count_unclear(self, record: Record, predictions: int) -> None:
        """Count predictions without a clear horizon, and log the first of them."""
        if not self._unclear_horizons:
            log.warning(
                "a prediction has no clear horizon: partition %d, offset %d; health counts them as unclear_horizons, "
                "docs/messages.md says what is read",
                record.partition,
                record.offset,
            )
        self._unclear_horizons += predictions

    def _warn(self) -> None:
        """Log what the slice has changed: whether this process' clock is behind, and segments that were evicted."""
        behind_ms = self.clock.behind_ms
        if behind_ms == 0 and self._behind_ms:
            log.info("this host's clock is no longer behind the Kafka times of most segments")
            self._behind_ms = 0
        elif behind_ms and not self._behind_ms / 2 <= behind_ms <= self._behind_ms * 2:
            log.warning(
                "this host's clock is %d s behind: the Kafka times of %d of the last %d segments lie ahead of it. "
                "Times are judged by those; check the host's time synchronisation",
                behind_ms // 1000,
                self.clock.ahead,
                self.clock.voters,
            )
            self._behind_ms = behind_ms
        evictions = self.feed.evictions()
        evicted = evictions["max_segments"] + evictions["max_bytes"]
        if evicted > self._evicted and time.monotonic() >= self._may_warn_at:
            log.warning(
                "%d segments were evicted: there are more than %d (MAX_SEGMENTS), or they take more than %d bytes "
                "(VIEW_BYTES). The oldest go first; look for unknown ids, or raise the setting",
                evicted - self._evicted,
                self.settings.max_segments,
                self.settings.view_bytes,
            )
            self._evicted, self._may_warn_at = evicted, time.monotonic() + WARN_EVERY_SECONDS

    def _slices(self, records: Sequence[Record]) -> Iterator[list[tuple[Record, Normalised]]]:
        """Normalise records and yield them in slices; while one is normalised, others get at the feed."""
        batch: list[tuple[Record, Normalised]] = []
        items = 0
        for record in records:
            normalised = self._normalise(record)
            self._vote(record, normalised)
            batch.append((record, normalised))
            items += len(normalised.predictions)
            if normalised.refusals:
                items += count_refused(normalised.refusals)
            if items >= SLICE_ITEMS:
                yield batch
                batch, items = [], 0
        if batch:
            yield batch

    def _vote(self, record: Record, normalised: Normalised) -> None:
        """Let the clock know a record's Kafka time, for one of its segments: of an array another one each time."""
        if normalised.predictions:
            _, prediction = normalised.predictions[record.offset % len(normalised.predictions)]
            self.clock.note(prediction.segment_id, record.time_ms)
        elif normalised.refusals:
            refusal = normalised.refusals[record.offset % len(normalised.refusals)]
            if refusal.reason == "time_in_future" and refusal.segment_id is not None:
                self.clock.note(refusal.segment_id, record.time_ms)

    def _skip(self, source: Source, expired: Expired) -> None:
        """Go on at the beginning of what is left when Kafka dropped records before they were read.

        A log that ends before what was read was truncated, though no leader epoch was known that says where.
        """
        topic = self._topic
        if not source.request_metadata(REFRESH_SECONDS) or topic is None or source.status().topic != topic:
            self._topic = None  # a topic that was recreated is out of range, too; the next step will see
            return
        before = self._offsets()
        offsets = [min(max(at, begin), end) for at, (begin, end) in zip(before, source.bounds(), strict=False)]
        if any(now < at for at, now in zip(before, offsets, strict=True)):
            self._truncate(source, topic, offsets)
            return
        missed = sum(now - at for at, now in zip(before, offsets, strict=True))
        log.warning("Kafka dropped %d records before they were read, in partitions %s", missed, expired.partitions)
        self._begin(topic, offsets, Gap("expired", missed))
        self._assign(source, offsets)

    def _go_back(self, source: Source, truncated: Truncated) -> None:
        """Go on where a log was cut off, as a broker does that lost records, and drop what it no longer has."""
        topic = self._topic
        if not source.request_metadata(REFRESH_SECONDS) or topic is None or source.status().topic != topic:
            self._topic = None
            return
        before, ends = self._offsets(), [end for _, end in source.bounds()]
        known = [truncated.offsets.get(partition, at) for partition, at in enumerate(before)]
        offsets = [min(at, end if cut is None else cut) for at, cut, end in zip(before, known, ends, strict=True)]
        self._truncate(source, topic, offsets)

    def _truncate(self, source: Source, topic: Topic, offsets: Sequence[int]) -> None:
        """Forget what lies beyond these offsets, and read on there."""
        lost = {part: at - now for part, (at, now) in enumerate(zip(self._offsets(), offsets, strict=True)) if now < at}
        log.warning("Kafka lost %d records that were read, in partitions %s", sum(lost.values()), sorted(lost))
        with self._own_fence():
            self.feed.truncate(Position(topic.incarnation, tuple(map(place, offsets))))
        self._assign(source, offsets)

    def _offsets(self) -> list[int]:
        position = self.feed.position
        return [offset_of(each) for each in position.places] if position else []

    @contextlib.contextmanager
    def _own_fence(self) -> Iterator[None]:
        """Hold the fence, if this thread is still the one that writes."""
        with self._fence:
            if threading.current_thread() is not self._thread:
                raise _Abandoned
            yield

    def _enter(self, state: State, reason: str, retry_in: float | None = None, detail: str = "") -> None:
        self._beat()
        is_trouble = state in ("reconnecting", "circuit_open") or SEE_LOG in reason
        severity = logging.WARNING if is_trouble else logging.INFO
        status = Status(state, self.feed.status.since_of(state), reason, _from_now(retry_in), detail)
        log.log(severity, "%s: %s", state, status.in_full)
        with self._own_fence():
            self.feed.announce(status)
            self.subscriptions.reset_timeouts()


def _from_now(seconds: float | None) -> float | None:
    return None if seconds is None else time.monotonic() + seconds


def _close(source: Source) -> None:
    try:
        source.close()
    except SourceError as error:
        log.warning("the source did not close cleanly: %s", error)
    except Exception:
        log.exception("the source did not close cleanly")


def _no_word_of(partitions: Sequence[int]) -> str:
    return f"no word from the leader of partition{'s' * (len(partitions) > 1)} {', '.join(map(str, partitions))}"
