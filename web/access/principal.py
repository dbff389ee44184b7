"""The principal of a request: who makes it, what it may see, and for how long."""

from typing import Literal, cast, get_args

from flask import g
from msgspec import Struct, structs

from consumer.view.filters import EVERYTHING, Filter
from web.times import iso

Role = Literal["operator", "publisher"]
"""What a principal may do beside reading: `operator` sees metrics, health details and the quarantine; `publisher`
publishes predictions."""
ROLES: frozenset[Role] = frozenset(get_args(Role))


class Unauthenticated(Exception):
    """The credentials of a request are missing, or can't be used; the text is for the client."""


class Principal(Struct, frozen=True):
    """Who makes a request. Plain values that compare.

    `name` is that of the token, or the subject of a JWT; "" without authentication. `limits` is what it may see,
    `every` the least seconds between two updates of a segment in its streams. It ends at `expires_at` (epoch seconds).
    `key` is the SHA-256 of its token.
    """

    name: str = ""
    limits: Filter = EVERYTHING
    every: float | None = None
    roles: frozenset[Role] = frozenset()
    expires_at: float | None = None
    key: bytes = b""

    @property
    def is_authenticated(self) -> bool:
        """Whether it has shown credentials."""
        return bool(self.key)

    @property
    def shown_expiry(self) -> str | None:
        """When it ends, in ISO 8601; None for never."""
        return None if self.expires_at is None else iso(self.expires_at)

    def narrow(self, wanted: Filter) -> Filter:
        """Return a filter that matches what is wanted and may be seen."""
        return wanted if self.limits == EVERYTHING else structs.replace(wanted, within=self.limits)

    def pace(self, every: float | None) -> float | None:
        """Return the pace of a stream for which `every` is requested."""
        return max(self.every or 0, every or 0) or None

    def may_continue_as(self, other: "Principal") -> bool:
        """Tell whether another principal differs by its token and expiry alone."""
        return structs.replace(other, expires_at=self.expires_at, key=self.key) == self

    def may_name_topic(self, name: str) -> bool:
        """Tell whether it may see that a topic exists."""
        return self.limits.topics is None or name in self.limits.topics

    def shown_topic(self, stated: str) -> str:
        """Return the topics of this process as text: as KAFKA_TOPIC states them, or those that may be seen."""
        topics = self.limits.topics
        return stated if topics is None else ",".join(sorted(topics))


ANYONE = Principal(roles=ROLES)
"""The principal of all requests without authentication (AUTH=none)."""
NO_RIGHTS = Principal(limits=Filter(segments=frozenset()))
"""Sees nothing: the principal where none was found."""


def current() -> Principal:
    """Return the principal of the current request."""
    return cast(Principal, g.get("principal", NO_RIGHTS))
