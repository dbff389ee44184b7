"""The schemas of one process by their id, fetched by one thread when a record first refers to them.

wanted ── fetched ── known: its decoder is kept
   │         ├────── absent: no such id, or a schema that can't be used; requested again after ABSENT_SECONDS
   │         └────── the registry is away: all that is wanted waits for SCHEMA_REGISTRY_WAIT, and is then refused
   └── no longer asked for: forgotten

Nothing that decodes a record waits for a request. All stores are bounded.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from consumer.parsing.refusal import RefusalReason, Refused
from consumer.settings import Settings

from .client import RegistryAway, RegistryClient, SchemaMissing
from .decoders import make_decoder
from .schema import DecodePayload, SchemaText

log = logging.getLogger("greenwave.schemas")

MAX_KNOWN = 500
MAX_KNOWN_CHARACTERS = 16_777_216
"""Characters of the schemas whose decoders are kept; the oldest are evicted."""
MAX_ABSENT = 1000
MAX_WANTED = 1000
ABSENT_SECONDS = 60.0
IDLE_SECONDS = 60.0
"""A schema for which no record has asked for so long is not fetched."""
QUEUE_SECONDS = 30.0
"""Longest wait for the first attempt to fetch a schema: a producer may send any number of ids."""
FIRST_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 30.0
LOG_EVERY_SECONDS = 60.0
MAX_DETAIL_CHARACTERS = 500
"""Longest text on a schema that can't be used, which may quote the schema."""
CLOSE_SECONDS = 1.0

RegistryState = Literal["unused", "ok", "away"]


class _Known(NamedTuple):
    decode: DecodePayload
    characters: int


class _Absent(NamedTuple):
    reason: RefusalReason
    detail: str
    until: float


class _Wanted:
    """A schema that is to be fetched. Times are those of the clock."""

    def __init__(self, now: float, failed_since: float | None) -> None:
        self.since = self.asked_at = now
        self.failed_since = failed_since
        """When the registry was first away since it is wanted; None while no attempt has failed."""


class Registry:
    """Decoders by schema id. Any thread may call it; its own thread starts with the first id that is asked for.

    `requests` counts by result: ok, missing, unusable, failed.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
        fetch: Callable[[int], SchemaText] | None = None,
    ) -> None:
        """Raises SettingsError for a CA file that can't be read."""
        self._fetch = fetch or RegistryClient(settings).fetch
        self._wait = settings.schema_registry_wait
        self._clock = clock
        # Guards the fields below; no request is sent while it is held. `_known` is read without it.
        self._changed = threading.Condition()
        self._known: dict[int, _Known] = {}
        self._absent: dict[int, _Absent] = {}
        self._wanted: dict[int, _Wanted] = {}
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._failures = 0
        self._retry_at = 0.0
        self._away_since: float | None = None
        self._why = ""
        self._logged_at = float("-inf")
        self.requests = {"ok": 0, "missing": 0, "unusable": 0, "failed": 0}

    def decode(self, schema_id: int, data: bytes, at: int) -> object:
        """Return the JSON value of a key or value whose payload begins at `at`. Never waits.

        Raises Refused: unknown_schema, unusable_schema, schema_unavailable, or not_decodable.
        """
        known = self._known.get(schema_id)
        if known is None:
            raise self._refusal(schema_id)
        try:
            return known.decode(data, at)
        except ValueError as error:
            detail = f"the payload does not have the schema {schema_id}: {error}"
            raise Refused("not_decodable", detail) from None

    def request(self, schema_id: int) -> bool:
        """Request a schema that is not here; return whether it may come."""
        if schema_id in self._known:
            return False
        with self._changed:
            return self._request(schema_id)

    def wait_for(self, schema_id: int, seconds: float) -> bool:
        """Wait for a schema as long as it may come; return False when it still may after so many seconds."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while self._request(schema_id):
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
        return True

    def close(self) -> None:
        """End the thread; a request in flight is left to its timeout."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(CLOSE_SECONDS)

    def report(self) -> dict[str, Any]:
        """Return state, since when the registry is away, and the numbers of schemas and requests."""
        with self._changed:
            state: RegistryState = "ok" if any(self.requests.values()) else "unused"
            return {
                "state": state if self._away_since is None else "away",
                "away_seconds": None if self._away_since is None else round(self._clock() - self._away_since, 1),
                "schemas": len(self._known),
                "wanted": len(self._wanted),
                "requests": dict(self.requests),
            }

    @property
    def why_away(self) -> str | None:
        """Why the registry is away, for operators alone: it may name hosts. None when it is not."""
        return None if self._away_since is None else self._why

    # Under the lock

    def _request(self, schema_id: int) -> bool:
        now = self._clock()
        absent = self._absent.get(schema_id)
        if schema_id in self._known or self._is_closed or (absent is not None and now < absent.until):
            return False
        wanted = self._wanted.get(schema_id)
        if wanted is None:
            if len(self._wanted) >= MAX_WANTED:
                return False
            wanted = self._wanted[schema_id] = _Wanted(now, None if self._away_since is None else now)
            self._start()
            self._changed.notify_all()
        wanted.asked_at = now
        if absent is not None:  # requested again, but it is likely to be absent still
            return False
        if wanted.failed_since is None:
            return now - wanted.since < QUEUE_SECONDS
        return now - wanted.failed_since < self._wait

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="greenwave-schemas", daemon=True)
            self._thread.start()

    def _next(self) -> int | None:
        """Wait until a schema is to be fetched, and return its id; None at the end."""
        with self._changed:
            while not self._is_closed:
                now = self._clock()
                idle = [number for number, each in self._wanted.items() if now - each.asked_at > IDLE_SECONDS]
                for number in idle:
                    del self._wanted[number]
                if self._wanted and now >= self._retry_at:
                    return next(iter(self._wanted))
                self._changed.wait(max(0.0, self._retry_at - now) if self._wanted else None)
            return None

    def _refusal(self, schema_id: int) -> Refused:
        with self._changed:
            self._request(schema_id)
            absent = self._absent.get(schema_id)
            if absent is not None:
                return Refused(absent.reason, absent.detail)
            is_away = self._away_since is not None
        # Not why: clients see refusals, and an error may have the names of hosts.
        why = "the schema registry is away; the server's log says why" if is_away else "it was not fetched in time"
        return Refused("schema_unavailable", f"the schema {schema_id} is not here: {why}")

    # On its own thread

    def _run(self) -> None:
        while (schema_id := self._next()) is not None:
            try:
                schema = self._fetch(schema_id)
                size = len(schema.text) + sum(len(each.text) for each in schema.references)
                self._add(schema_id, _Known(_decoder_of(schema), size), schema)
            except SchemaMissing:
                detail = f"the schema registry has no schema {schema_id}"
                self._leave_out(schema_id, "missing", "unknown_schema", detail)
            except ValueError as error:
                detail = f"the schema {schema_id} can't be used: {error}"[:MAX_DETAIL_CHARACTERS]
                self._leave_out(schema_id, "unusable", "unusable_schema", detail)
            except RegistryAway as away:
                self._fail(schema_id, str(away))
            except Exception as error:
                log.exception("unexpected error while a schema was fetched")
                self._fail(schema_id, f"unexpected {type(error).__name__}, see the log")

    def _add(self, schema_id: int, known: _Known, schema: SchemaText) -> None:
        with self._changed:
            away_seconds = self._answered(schema_id, "ok")
            self._absent.pop(schema_id, None)
            self._known[schema_id] = known
            characters = sum(each.characters for each in self._known.values())
            while len(self._known) > MAX_KNOWN or (characters > MAX_KNOWN_CHARACTERS and len(self._known) > 1):
                characters -= self._known.pop(next(iter(self._known))).characters
        _log_recovery(away_seconds)
        log.info("schema %d fetched: %s, %d characters", schema_id, schema.kind, known.characters)

    def _leave_out(self, schema_id: int, result: str, reason: RefusalReason, detail: str) -> None:
        with self._changed:
            away_seconds = self._answered(schema_id, result)
            self._absent.pop(schema_id, None)  # so that it comes last
            self._absent[schema_id] = _Absent(reason, detail, self._clock() + ABSENT_SECONDS)
            if len(self._absent) > MAX_ABSENT:
                del self._absent[next(iter(self._absent))]
        _log_recovery(away_seconds)

    def _answered(self, schema_id: int, result: str) -> float | None:
        """Note a usable answer, under the lock; return for how long the registry was away, None if it was not."""
        self._wanted.pop(schema_id, None)
        self.requests[result] += 1
        self._failures, self._retry_at, self._why = 0, 0.0, ""
        since, self._away_since = self._away_since, None
        self._changed.notify_all()
        return None if since is None else self._clock() - since

    def _fail(self, schema_id: int, why: str) -> None:
        with self._changed:
            now = self._clock()
            self.requests["failed"] += 1
            self._failures += 1
            longest = min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(self._failures - 1, 10))
            delay = random.uniform(longest / 2, longest)
            self._retry_at, self._why = now + delay, why
            if self._away_since is None:
                self._away_since = now
            for each in self._wanted.values():
                if each.failed_since is None:
                    each.failed_since = now
            wanted = self._wanted.pop(schema_id, None)
            if wanted is not None:
                self._wanted[schema_id] = wanted  # another one is tried first
            self._changed.notify_all()
            is_due = now - self._logged_at >= LOG_EVERY_SECONDS
            self._logged_at = now if is_due else self._logged_at
        if is_due:
            log.warning("schema %d could not be fetched, next attempt in %.1f s: %s", schema_id, delay, why)


def _decoder_of(schema: SchemaText) -> DecodePayload:
    """Return the decoder of a schema. Raises ValueError, whatever a library makes of the schema."""
    try:
        return make_decoder(schema)
    except ValueError:
        raise
    except Exception as error:
        log.exception("unexpected error while a schema was read")
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _log_recovery(away_seconds: float | None) -> None:
    if away_seconds is not None:
        log.info("the schema registry answers again, after %.1f s", away_seconds)


def open_registry(settings: Settings) -> Registry | None:
    """Return the registry that the settings name, if they name one. Raises SettingsError."""
    return Registry(settings) if settings.schema_registry_url else None
