"""A simulated client that follows docs/clients.md, and checks all that it is sent.

It keeps the cursor of the last whole event, and a map of the view. Between two cursors it must have been given every
prediction that it asks for, once. That is checked at each cursor: what lies between it and the cursor before is the
prediction or observation that came with it, or nothing that the client asks for. Cursors are compared by topic.
"""

import json
import zlib

from consumer.view.cursor import decode, place
from consumer.view.filters import EVERYTHING
from web.streams.encodings import GZIP_HEADER, SSE, SSE_GZIP, WEBSOCKET

from .places import Where

INFLATE = -zlib.MAX_WBITS


OBSERVED = "observed"
"""Stands for the horizon in the key of an observation."""


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
        self._known = frozenset()
        """The topics that its process knew when it began there."""
        self._added = {}
        """Where its process began to read topics that it found while the client was connected."""
        self._has_moved = False
        """Whether it was sent a cursor since it began there."""
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
        self._begin(start, self._log.position_since(start, process))

    def note_added(self, starts):
        """Note where the process begins to read topics that it has found; these are given from there on."""
        if self._has_moved:
            self._added |= starts

    def asked(self, start):
        """Note that it has sent a `subscribe` message."""
        self._asked.append((start, self._log.position_since(start, self.process)))
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

    def is_beyond(self, log, offset):
        """Tell whether its cursor is beyond an offset of a log."""
        return self.cursor is not None and Where.of(decode(self.cursor)).at(log) > place(offset)

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
        missed = self._log.between(self.position, Where.of(self.process.feed.position), self.wanted)
        if missed:
            raise Broken(f"{self.name} was never given {missed[0]}")
        removed = [tag for tag in self.map.values() if self._log.items[tag].log[0] not in self.process.topics_known]
        if removed:
            raise Broken(f"{self.name} still has {removed} of topics that its process does not read")
        if views_differ and self.map_of != self.process.view_id:
            return
        snapshot = self.process.feed.snapshot(self.wanted)
        view = {self._key_of(each): each.source for each in snapshot.predictions}
        view |= {(each.segment_id, OBSERVED): each.source for each in snapshot.observations or ()}
        differing = sorted(
            (key for key in view.keys() | self.map.keys() if view.get(key) != self.map.get(key)), key=str
        )
        if differing and not self._are_aged(differing, view):
            has = {key: (self.map.get(key), view.get(key)) for key in differing}
            raise Broken(f"{self.name} has another view than its process: {has} (its own, the process')")

    def _are_aged(self, differing, view):
        """Tell whether what differs has aged: a client learns that with the next prediction of the segment."""
        with self.process.feed.locked() as state:
            views = {True: state.observed, False: state.latest}
            oldest_ms = {kind: each.reference_ms - each.max_age_ms for kind, each in views.items()}
        return all(
            key not in view and self._log.items[self.map[key]].content.timestamp < oldest_ms[key[1] == OBSERVED]
            for key in differing
        )

    def _key_of(self, prediction):
        return prediction.segment_id, prediction.horizon_minutes if self.wanted.names_horizons else None

    def _begin(self, start, since):
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
        self._known, self._added, self._has_moved = self.process.topics_known, {}, False
        if start.after is not None:
            self.position = None if start.is_damaged else Where.of(decode(start.after))
        else:
            self.position = since if self._has_since else None

    # What it is sent

    def _take(self, message, cursor):
        match message["type"]:
            case "initial":
                self._begin_view(message, cursor)
            case "prediction" | "observation" as kind if self._view is not None:
                self._add_to_view(kind, message["data"], cursor)
            case "prediction" | "observation" as kind:
                self._change(kind, message["data"], cursor)
            case "left":
                self._leave(message, cursor)
            case "gap":
                self._gap(message)
            case "subscribed":
                start, since = self._asked.pop(0)
                self._begin(start, since)
                if start.after is None:
                    self.cursor = None  # it is of the filter before; the view is on its way
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
        if ("observations" in message) != self.wanted.observations:
            raise Broken(f"a view with observations, or without, under {self.wanted}")
        observed = message.get("observations", [])
        for each in message["predictions"]:
            self._view[self._key("prediction", each)] = each["source"]
        for each in observed:
            self._view[self._key("observation", each)] = each["source"]
        count = message["count"] + message.get("observation_count", 0)
        self._missing = count - len(message["predictions"]) - len(observed)
        self._end_view(cursor)

    def _add_to_view(self, kind, item, cursor):
        self._view[self._key(kind, item)] = item["source"]
        self._missing -= 1
        self._end_view(cursor)

    def _end_view(self, cursor):
        if (cursor is None) != (self._missing > 0):
            raise Broken(f"{self._missing} of the view are missing at the cursor {cursor}")
        if cursor is None:
            return
        self.map, self._view = self._view, None
        self.map_of = self.process.view_id
        if self._is_after_gap:
            self.position, self._added = None, {}
        self._is_after_gap = self._is_owed = False
        self._move(cursor)
        self._was_owed = False
        if self._log.knows_losses(self):
            self.is_unsure = self.was_ahead = False

    def _change(self, kind, item, cursor):
        if self._is_after_gap:
            raise Broken(f"a {kind} between a gap and the view")
        tag = item["source"]
        if cursor is not None:  # else it is shown in place of one that was evicted
            self._move(cursor, tag)
            self.given += 1
        if not self.wanted.concerns(self._log.items[tag].content):
            raise Broken(f"{self._log.items[tag]} does not match {self.wanted}")
        if not item.get("late"):
            self.map[self._key(kind, item)] = tag

    def _leave(self, message, cursor):
        if self._is_after_gap:
            raise Broken("`left` between a gap and the view")
        segment, horizon = message["segment_id"], message["horizon_minutes"]
        is_observation = message.get("kind") == "observation"
        for key in list(self.map):
            is_of_kind = (key[1] == OBSERVED) == is_observation or message["reason"] == "removed"
            if key[0] == segment and is_of_kind and (is_observation or horizon in (None, key[1])):
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
        position, before = Where.of(decode(cursor)), self.position
        if not self.is_unsure:
            if tag is not None and self.every is None:
                self._check_item(tag, before, position)
            if before is not None:
                self._check_progress(tag, before, position)
        self.position, self.cursor, self._has_moved = position, cursor, True
        self._was_owed |= self._is_owed

    def _check_item(self, tag, before, position):
        item = self._log.items[tag]
        if not item.place < position.at(item.log):
            raise Broken(f"the cursor {position} of {item} lies before it")
        if before is not None and item.place < before.at(item.log):
            raise Broken(f"{item} came again, or out of order, after {before}")

    def _check_progress(self, tag, before, position):
        lost, added = before.topics - position.topics, position.topics - before.topics
        if lost and added:
            raise Broken(f"a cursor of another topic without a gap: {lost} became {added}")
        if lost & self._known:
            raise Broken(f"the cursor lacks topics that its process reads: {lost}")
        before = before.with_added(added, self._added)
        if not position.reaches(before):
            raise Broken(f"the cursor moved back from {before} to {position}")
        if self.every is not None:
            return  # what a newer one has replaced is left out
        missed = [each for each in self._log.between(before, position, self.wanted) if each.tag != tag]
        if missed:
            raise Broken(f"{missed[0]} was not given between {before} and {position}")

    def _key(self, kind, item):
        if kind == "observation":
            return item["segment_id"], OBSERVED
        return item["segment_id"], item["horizon_minutes"] if self.wanted.names_horizons else None
