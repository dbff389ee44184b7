"""A simulated client that follows docs/clients.md, and checks all that it is sent.

It keeps the cursor of the last whole event, and a map of the view. Between two cursors it must have been given every
prediction that it asks for, once. That is checked at each cursor: what lies between it and the cursor before is the
prediction that came with it, or nothing that the client asks for.
"""

import json
import zlib

from consumer.view.cursor import decode_kind, place, reaches
from consumer.view.filters import EVERYTHING
from web.streams.encodings import GZIP_HEADER, SSE, SSE_GZIP, WEBSOCKET

INFLATE = -zlib.MAX_WBITS


class Broken(AssertionError):
    """A client was sent what it must not be sent, or not sent what it must."""


class Decoder:
    """Turns the bytes of one connection into messages with their cursors, whatever the encoding."""

    def __init__(self, encoding):
        self._take = {SSE: self._events, SSE_GZIP: self._inflated, WEBSOCKET: self._frames}[encoding]
        self._inflate = zlib.decompressobj(INFLATE)
        self._header = len(GZIP_HEADER)
        self._rest = b""

    def messages(self, data):
        """Return the whole messages that are there after more bytes, as (message, cursor)."""
        return self._take(data)

    def _inflated(self, data):
        skipped, self._header = data[self._header :], max(0, self._header - len(data))
        return self._events(self._inflate.decompress(skipped))

    def _events(self, data):
        *events, self._rest = (self._rest + data).split(b"\n\n")
        found = []
        for event in events:
            fields = dict(line.split(b": ", 1) for line in event.split(b"\n") if not line.startswith(b":"))
            if fields:
                cursor = fields.get(b"id")
                found.append((json.loads(fields[b"data"]), cursor.decode() if cursor is not None else None))
        return found

    def _frames(self, data):
        data, at, found = self._rest + data, 0, []
        while len(data) - at >= 2:
            size, head = data[at + 1], 2
            if size >= 126:
                head = 4 if size == 126 else 10
                size = int.from_bytes(data[at + 2 : at + head])
            if len(data) - at < head + size:
                break
            if data[at] != 0x81:
                raise Broken(f"a frame that begins with {data[at]:#x}")
            message = json.loads(data[at + head : at + head + size])
            found.append((message, message.get("cursor")))
            at += head + size
        self._rest = data[at:]
        return found


class Client:
    """One client; `log` knows what was published, and which gaps have a cause."""

    def __init__(self, name, log):
        self.name = name
        self._log = log
        self.wanted = EVERYTHING
        self.every = None
        self.cursor = None
        self.connection = None
        self.process = None
        self.position = None
        """Up to where it must have been given everything; None when that is not known."""
        self.map = {}
        self.map_of = None
        """Of which process the last view was, and of which generation of its feed."""
        self.is_unsure = False
        """Whether it may have records that Kafka lost, so that nothing can be said of it until the next view."""
        self.was_ahead = False
        """Whether its cursor was of records that Kafka lost."""
        self.given = 0
        self.gaps = []
        self.new_gaps = []
        """Those since the connection was opened or records were lost."""
        self.has_opened_since_truncation = False
        self.has_presented_damage = False
        self.saw_recreation = False
        self._decoder = None
        self._view = None
        self._missing = 0
        self._is_after_gap = False
        self.last = {}
        """The last messages of some types."""
        self._asked = []
        self._has_since = False
        self._is_owed = self._was_owed = False  # the view: by the start of this stream, and by the cursor

    # What it does

    def opened(self, connection, process, start):
        """Note that a connection was opened; `start` says what was asked for."""
        if self.process is not process:
            self.map_of = None
        self.connection, self.process = connection, process
        self._decoder = Decoder(connection.encoding)
        self._asked, self.last = [], {}
        self.new_gaps = []
        self.has_opened_since_truncation = True
        self.saw_recreation = not process.is_current
        self._begin(start)

    def asked(self, start):
        """Note that it has sent a `subscribe` message."""
        self._asked.append(start)
        self.saw_recreation |= not self.process.is_current

    def closed(self):
        """Note that the connection was cut."""
        self.connection = self._view = None
        self._is_after_gap = False

    def handle(self, count=None):
        """Handle so many of the bytes that were sent; all of them by default."""
        connection = self.connection
        data = connection.sent if count is None else connection.sent[:count]
        connection.sent = connection.sent[len(data) :]
        for message, cursor in self._decoder.messages(data):
            self._take(message, cursor)
        return len(data) > 0

    def is_beyond(self, incarnation, partition, offset):
        """Tell whether its cursor is beyond an offset."""
        if self.cursor is None:
            return False
        position, _ = decode_kind(self.cursor)
        is_known = position.incarnation == incarnation and partition < len(position.places)
        return is_known and position.places[partition] > place(offset)

    def check_end(self, views_differ):
        """Check what it has when nothing happens any more: everything, and the view of its process.

        Views of two processes may differ where one of them has lost predictions without a record. Then the map is that
        of the process from which it had its last view.
        """
        state, stats = self.process.feed.status.state, self.connection.group.channel._session.sent_stats
        if self.last["status"]["state"] != state:
            raise Broken(f"{self.name} was not given the state {state}")
        if self.last.get("stats", {}).get("data") != stats:
            raise Broken(f"{self.name} has the statistics {self.last.get('stats')}; its channel has {stats}")
        if self.is_unsure:
            return
        is_owed = self._is_owed or self._was_owed
        if is_owed or self._view is not None or self._is_after_gap or self.position is None:
            raise Broken(f"{self.name} has no whole view in the end")
        missed = self._log.between(self.position, self._log.end, self.wanted)
        if missed:
            raise Broken(f"{self.name} was never given {missed[0]}")
        if views_differ and self.map_of != (self.process.name, self.process.generation):
            return
        view = {self._key_of(each): each.model for each in self.process.feed.snapshot(self.wanted).predictions}
        differing = sorted(key for key in view.keys() | self.map.keys() if view.get(key) != self.map.get(key))
        if differing and not self._are_aged(differing, view):
            has = {key: (self.map.get(key), view.get(key)) for key in differing}
            raise Broken(f"{self.name} has another view than its process: {has} (its own, the process')")

    def _are_aged(self, differing, view):
        """Tell whether what differs has aged: a client learns that with the next prediction of the segment."""
        with self.process.feed.locked() as state:
            oldest_ms = state.latest.reference_ms - state.latest.max_age_ms
        return all(
            key not in view and self._log.items[self.map[key]].prediction.timestamp < oldest_ms for key in differing
        )

    def _key_of(self, prediction):
        return prediction.segment_id, prediction.horizon_minutes if self.wanted.names_horizons else None

    def _begin(self, start):
        self.wanted, self.every = start.wanted, start.every
        self.has_presented_damage = start.is_damaged
        self.last.pop("stats", None)
        self._view, self._is_after_gap, self._has_since = (
            None,
            False,
            start.since_ms is not None and start.every is None,
        )
        self._is_owed = start.owes_view or self._has_since or self.every is not None
        self._was_owed &= start.after is not None
        if start.after is not None:
            self.position = None if start.is_damaged else decode_kind(start.after)[0]
        else:
            self.position = self._log.position_since(start, self.process) if self._has_since else None

    # What it is sent

    def _take(self, message, cursor):
        match message["type"]:
            case "initial":
                self._begin_view(message, cursor)
            case "prediction" if self._view is not None:
                self._add_to_view(message["data"], cursor)
            case "prediction":
                self._change(message["data"], cursor)
            case "left":
                self._leave(message, cursor)
            case "gap":
                self._gap(message)
            case "subscribed":
                self._begin(self._asked.pop(0))
            case "position":
                if cursor is not None:
                    self._move(cursor)
            case "connected" | "status" | "stats" as kind:
                self.last[kind] = message
                if cursor is not None:
                    raise Broken(f"{kind} has a cursor")
            case other:
                raise Broken(f"{other}: {message}")

    def _begin_view(self, message, cursor):
        self._view = {}
        for each in message["predictions"]:
            self._view[self._key(each)] = each["model"]
        self._missing = message["count"] - len(message["predictions"])
        self._end_view(cursor)

    def _add_to_view(self, prediction, cursor):
        self._view[self._key(prediction)] = prediction["model"]
        self._missing -= 1
        self._end_view(cursor)

    def _end_view(self, cursor):
        if (cursor is None) != (self._missing > 0):
            raise Broken(f"{self._missing} of the view are missing at the cursor {cursor}")
        if cursor is None:
            return
        self.map, self._view = self._view, None
        self.map_of = self.process.name, self.process.generation
        if self._is_after_gap:
            self.position = None
        self._is_after_gap = self._is_owed = False
        self._move(cursor)
        self._was_owed = False
        if self._log.knows_losses(self):
            self.is_unsure = self.was_ahead = False

    def _change(self, prediction, cursor):
        if self._is_after_gap:
            raise Broken("a prediction between a gap and the view")
        tag = prediction["model"]
        if cursor is not None:  # else it is shown in place of one that was evicted
            self._move(cursor, tag)
            self.given += 1
        if not prediction.get("late"):
            self.map[self._key(prediction)] = tag

    def _leave(self, message, cursor):
        if self._is_after_gap:
            raise Broken("`left` between a gap and the view")
        segment, horizon = message["segment_id"], message["horizon_minutes"]
        for key in list(self.map):
            if key[0] == segment and horizon in (None, key[1]):
                del self.map[key]
        if cursor is not None:
            self._move(cursor)
        elif self.every is None and message["reason"] not in ("evicted", "expired"):
            raise Broken(f"`left` has no cursor: {message}")

    def _gap(self, message):
        self._log.check_gap(self, message["reason"], message["missed"], self._has_since)
        self.gaps.append(message["reason"])
        self.new_gaps.append(message["reason"])
        self._is_after_gap = True

    def _move(self, cursor, tag=None):
        """Check what was given between the cursor before and this one, and store this one."""
        position, _ = decode_kind(cursor)
        before = self.position
        if not self.is_unsure:
            if tag is not None and self.every is None:
                self._check_prediction(tag, before, position)
            if before is not None:
                self._check_progress(tag, before, position)
        self.position, self.cursor = position, cursor
        self._was_owed |= self._is_owed

    def _check_prediction(self, tag, before, position):
        item = self._log.items[tag]
        if not self.wanted.concerns(item.prediction):
            raise Broken(f"{item} does not match {self.wanted}")
        if item.incarnation != position.incarnation or not item.place < position.places[item.partition]:
            raise Broken(f"the cursor {position} of {item} lies before it")
        if before is not None and item.partition < len(before.places) and item.place < before.places[item.partition]:
            raise Broken(f"{item} came again, or out of order, after {before}")

    def _check_progress(self, tag, before, position):
        if position.incarnation != before.incarnation:
            raise Broken("a cursor of another topic without a gap")
        if not reaches(position.places, before.places):
            raise Broken(f"the cursor moved back from {before} to {position}")
        if self.every is not None:
            return  # what a newer one has replaced is left out
        missed = [each for each in self._log.between(before, position, self.wanted) if each.tag != tag]
        if missed:
            raise Broken(f"{missed[0]} was not given between {before} and {position}")

    def _key(self, prediction):
        return prediction["segment_id"], prediction["horizon_minutes"] if self.wanted.names_horizons else None
