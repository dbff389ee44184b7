"""Faults of one line that the simulation must find. They are planted in memory; no file is changed."""

import importlib
import inspect
import sys
from contextlib import contextmanager
from types import CodeType, FunctionType, ModuleType
from typing import NamedTuple

from web.streams.encodings import SSE_GZIP


class Fault(NamedTuple):
    """A line of a module that is replaced by another one, and what that breaks."""

    breaks: str
    module: str
    line: str
    instead: str


FAULTS = [
    # Five that are found soon come first: `make test` has these.
    Fault(
        "the element-wise maximum forgets the cursor of the client",
        "consumer.view.cursor",
        "return tuple(a if a > b else b for a, b in zip_longest(ours, theirs, fillvalue=0))",
        "return ours + theirs[len(ours):]",
    ),
    Fault(
        "a resume that joins its channel loses its last messages",
        "web.streams.resume",
        "elif goal is not None and subscription is not None and session.is_drained:",
        "elif goal is not None and subscription is not None:",
    ),
    Fault(
        "a compressed block refers to blocks that a new client was not sent",
        "web.streams.encodings",
        "self._compressor.flush(zlib.Z_FULL_FLUSH)",
        "self._compressor.flush(zlib.Z_SYNC_FLUSH)",
    ),
    Fault(
        "a cursor of several topics has the places of the first ordinals",
        "consumer.view.cursor",
        "parts += [_encode_place(places[ordinal]) for ordinal in ordinals]",
        "parts += [_encode_place(places[number]) for number, ordinal in enumerate(ordinals)]",
    ),
    Fault(
        "observations come before predictions that did not fit into the first part of a view",
        "web.wire",
        "observed, _ = _fitting(observations, room if len(parts) == len(predictions) else 0)",
        "observed, _ = _fitting(observations, room)",
    ),
    Fault(
        "the ring buffer says that it has one record more than it has",
        "consumer.view.ring",
        "(places[ordinal] if ordinal < len(places) else 0) >= first",
        "(places[ordinal] if ordinal < len(places) else 0) >= first - (1 << 24)",
    ),
    Fault(
        "a resume in the ring buffer begins one entry too late",
        "consumer.view.ring",
        "return self.oldest + low - self._head",
        "return min(self.end, self.oldest + low - self._head + 1)",
    ),
    Fault(
        "the ring buffer does not note what it dropped",
        "consumer.view.ring",
        "self.whole_from[ordinal] = max(self.whole_from[ordinal], after)",
        "pass",
    ),
    Fault(
        "a cursor inside a record is that of the item before",
        "consumer.view.cursor",
        "return _encode_varint(doubled | 1) + _encode_varint(index) if index else _encode_varint(doubled)",
        "return _encode_varint(doubled | 1) + _encode_varint(index - 1) if index > 1 else _encode_varint(doubled)",
    ),
    Fault(
        "a live client under a filter skips an entry when there are more than it may take",
        "consumer.resume.live",
        "self._step_back(first + number, entries[number - 1].position.places)",
        "self._step_back(first + number + 1, entries[number - 1].position.places)",
    ),
    Fault(
        "a client joins its channel before it is where that is",
        "consumer.resume.live",
        "self.generation == other.generation and self.sequence == other.sequence and",
        "self.generation == other.generation and",
    ),
    Fault(
        "a client that falls off the ring buffer gets no gap",
        "consumer.resume.live",
        "if first < ring.oldest:",
        "if False:",
    ),
    Fault(
        "a resume leaves out the first entry after the cursor",
        "consumer.resume.catching_up",
        "return entry.ordinal < len(floor) and entry.place < floor[entry.ordinal]",
        "return entry.ordinal < len(floor) and entry.place <= floor[entry.ordinal]",
    ),
    Fault(
        "a resume gives again what the client had from another process",
        "consumer.resume.catching_up",
        "if not self._has(entry):",
        "if True:",
    ),
    Fault(
        "a horizon that is not shown is given without the view after it",
        "consumer.resume.catching_up",
        'if (is_given != is_shown or entry.evicted) and subscriber.purpose != "history":',
        "if False:",
    ),
    Fault(
        "the rule for horizons leaves out a repeated horizon",
        "consumer.resume.horizons",
        "if last is not None and last[0] == segment_id and last[1] < horizon and last[2] >= prediction.timestamp:",
        "if last is not None and last[0] == segment_id and last[1] <= horizon and last[2] >= prediction.timestamp:",
    ),
    Fault(
        "a replay leaves out the first record of a chunk",
        "consumer.resume.replaying",
        "if item.place >= self._place(item.ordinal):",
        "if item.place > self._place(item.ordinal):",
    ),
    Fault(
        "a replay goes back to the end of a chunk that the client is past",
        "consumer.resume.replaying",
        "self.places, self._chunk = furthest(self.places, chunk.end), None",
        "self.places, self._chunk = chunk.end, None",
    ),
    Fault(
        "a chunk ends one record further than was read",
        "consumer.resume.reading",
        "self._places[ordinal] = place(record.offset + 1)",
        "self._places[ordinal] = place(record.offset + 2)",
    ),
    Fault(
        "a block inside of a batch says where the client is after the batch",
        "web.streams.channel",
        "resume_at = subscription.mark if session.is_drained else None",
        "resume_at = subscription.mark",
    ),
    Fault(
        "a shared view leads into the block before it",
        "web.streams.channel",
        'self.append(b"", mark)',
        "pass",
    ),
    Fault(
        "a shared view does not lead into the blocks after it",
        "web.streams.channel",
        "self.tail.resume_at, self.tail.next = self.mark, self._join",
        "self.tail.resume_at, self.tail.next = self.mark, None",
    ),
    Fault(
        "a client that a resume leads into a view follows the channel before all of the view was made",
        "web.streams.stream",
        "self.branch = self.branch.next_branch",
        "self.branch = None",
    ),
    Fault(
        "a client that is too slow loses the blocks before it continues elsewhere",
        "web.streams.resume",
        "last.next = last = Block(at.data, 0, None)",
        "pass",
    ),
    Fault(
        "a client that shares a resume begins where that is",
        "web.streams.resume",
        "return shared.start, shared.resume",
        "return shared.resume.tail, shared.resume",
    ),
    Fault(
        "a late prediction replaces the newer one in a paced stream",
        "web.streams.pace",
        "elif not entry.late:",
        "else:",
    ),
    Fault(
        "a session forgets what is left of a full batch",
        "web.streams.session",
        "if len(messages) < limit:",
        "if len(messages) <= limit:",
    ),
    Fault(
        "each part of a view has the cursor of the whole",
        "web.streams.session",
        "yield Message(content, None if rest else view.cursor)",
        "yield Message(content, view.cursor)",
    ),
    Fault(
        "a replay that fails between two requests of its client is never reported to it",
        "consumer.resume.readers",
        "if error is None:",
        "if True:",
    ),
    # More of several topics, and of observations.
    Fault(
        "a partition that a cursor of several topics lacks counts as read",
        "consumer.view.ordinals",
        "places[ordinal] = known[number] if number < len(known) else 0",
        "places[ordinal] = known[number] if number < len(known) else 1 << 60",
    ),
    Fault(
        "a client keeps what it has of a topic that is no longer read",
        "consumer.resume.starting",
        'if (adopted.lacks_topics or adopted.is_of_unknown) and subscriber.purpose != "history":',
        'if adopted.lacks_topics and subscriber.purpose != "history":',
    ),
    Fault(
        "a recreated topic among several continues at its former places",
        "consumer.runtime.positions",
        "names[ordinal], places[ordinal] = topics[topic].incarnation, place(0)",
        "names[ordinal], places[ordinal] = topics[topic].incarnation, places[ordinal]",
    ),
    Fault(
        "a live client has the places of an added topic without its id",
        "consumer.resume.live",
        "self._incarnation = state.incarnation or self._incarnation  # topics may have been added",
        "pass",
    ),
    Fault(
        "ties between topics are decided by the order in which they were found",
        "consumer.view.kept",
        'return item.timestamp, item.prediction_time, "" if topic is UNSET else topic, ordinal, place',
        'return item.timestamp, item.prediction_time, "", ordinal, place',
    ),
    Fault(
        "a removal leaves the observation of its segment",
        "consumer.view.state",
        "known = [view.remove(segment_id) for view in (self.latest, self.observed)]",
        "known = [view.remove(segment_id) for view in (self.latest,)]",
    ),
    Fault(
        "an observation replaces the prediction of its segment in a paced stream",
        "web.streams.pace",
        "self._put((item.segment_id, type(item) is Observation), _Gathered(horizon, _Effect.SHOWN, item))",
        "self._put((item.segment_id, False), _Gathered(horizon, _Effect.SHOWN, item))",
    ),
    Fault(
        "a resume leaves out observations that a prediction of the same segment follows",
        "consumer.resume.catching_up",
        "return [Change(entry, self._own_cursor(entry))] if subscriber.wanted.concerns(item) else []",
        "return [Change(entry, self._own_cursor(entry))] if subscriber.wanted.concerns(item) and entry.shown else []",
    ),
]


@contextmanager
def planted(fault):
    """Plant a fault: run the module's text with the other line, and give its functions the code of that."""
    module = importlib.import_module(fault.module)
    text = inspect.getsource(module)
    assert text.count(fault.line) == 1, f"{fault.module} does not have this line once: {fault.line}"
    changed = ModuleType(module.__name__)
    changed.__file__, changed.__package__ = module.__file__, module.__package__
    exec(compile(text.replace(fault.line, fault.instead), module.__file__, "exec"), vars(changed))
    before: list[tuple[FunctionType, CodeType]] = []
    for name, function in _functions(module):
        code = dict(_functions(changed))[name].__code__
        if code != function.__code__:
            before.append((function, function.__code__))
            function.__code__ = code
    assert before, "no function has this line"
    _clear_caches()
    try:
        yield
    finally:
        for function, code in before:
            function.__code__ = code
        _clear_caches()
        SSE_GZIP.encode([])  # the compressor forgets what it has of the fault


def _clear_caches():
    """Clear the caches of the product: any may have what a fault of another module made."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("consumer", "web"):
            for each in vars(module).values():
                if hasattr(type(each), "cache_clear"):  # of the type, since Flask's proxies have no object here
                    each.cache_clear()


def _functions(module):
    """Yield all functions that a module defines, with their names: also methods, properties, and what is cached."""
    for name, each in list(vars(module).items()):
        if isinstance(each, type) and each.__module__ == module.__name__:
            for inner, attribute in vars(each).items():
                if (function := _function(attribute)) is not None:
                    yield f"{name}.{inner}", function
        elif (function := _function(each)) is not None and function.__module__ == module.__name__:
            yield name, function


def _function(value):
    if isinstance(value, property):
        value = value.fget
    value = inspect.unwrap(value) if callable(value) else value
    return value if isinstance(value, FunctionType) else None
