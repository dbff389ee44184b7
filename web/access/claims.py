"""Claims: what a token lets its holder see and do, as a tokens file or a JWT states it."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from consumer.settings import Settings
from consumer.view.filters import Box, Filter

from .principal import Principal, Role

_NameList = Annotated[list[Annotated[str, Meta(min_length=1, max_length=1_000)]], Meta(max_length=1_000)]
Degrees = Annotated[float, Meta(ge=-180, le=180)]
LATEST = 253_402_300_799.0
"""The end of the year 9999 (epoch seconds), the last time that ISO 8601 shows: an `exp` may be in milliseconds."""


class Claims(Struct, frozen=True, forbid_unknown_fields=True):
    """What is not given is not limited; an empty list allows nothing. `bbox` is west, south, east, north in degrees."""

    topics: _NameList | None = None
    roads: _NameList | None = None
    segments: _NameList | None = None
    bbox: tuple[Degrees, Degrees, Degrees, Degrees] | None = None
    every: Annotated[float, Meta(ge=1, le=60)] | None = None
    roles: list[Role] = []


def claims_of(given: Any) -> Claims:
    """Read claims from a mapping. Raises ValueError, which says what is wrong where."""
    if isinstance(given, dict) and (empty := [name for name, value in given.items() if value is None]):
        # A provider may write null for an attribute that a user lacks, which must not mean "not limited".
        raise ValueError(f"{str(empty[0])[:40]!r} is null; leave it out for no limit, or give [] for nothing")
    claims = msgspec.convert(given, Claims, strict=False)
    if claims.bbox is not None and not -90 <= claims.bbox[1] <= claims.bbox[3] <= 90:
        raise ValueError("bbox must be west, south, east, north in degrees")
    return claims


def principal_of(
    claims: Claims, settings: Settings, name: str, key: bytes, expires_at: float | None = None
) -> Principal:
    """Return the principal that holds these claims."""
    until = None if expires_at is None else min(expires_at, LATEST)
    return Principal(name, _limits(claims, settings), claims.every, frozenset(claims.roles), until, key)


def _limits(claims: Claims, settings: Settings) -> Filter:
    return Filter(
        segments=_set(claims.segments),
        roads=None if claims.roads is None else frozenset(road.strip().casefold() for road in claims.roads),
        box=None if claims.bbox is None else Box(*claims.bbox),
        topics=_topics(claims, settings),
    )


def _topics(claims: Claims, settings: Settings) -> frozenset[str] | None:
    topics = _set(claims.topics)
    if topics is None or settings.reads_several:
        return topics
    # Where one topic is read, items do not name it.
    return None if settings.topic in topics else frozenset()


def _set(names: list[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)
