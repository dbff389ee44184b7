"""Schemas of the registry for commands: a command waits for them a moment, and then refuses what needs them."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import msgspec

from consumer.messages.normalise import Normaliser
from consumer.schemas.registry import Registry, open_registry
from consumer.settings import Settings
from consumer.sources.record import Record

from .finding import Finding


@contextmanager
def normaliser(settings: Settings) -> Iterator[Normaliser]:
    """Give a normaliser with the registry of the settings, whose thread ends with it. Raises SettingsError."""
    registry = open_registry(msgspec.structs.replace(settings, schema_registry_wait=0))
    try:
        yield Normaliser(settings, registry=registry)
    finally:
        if registry is not None:
            registry.close()


def wait_for_schemas(normalise: Normaliser, records: Iterable[Record], seconds: float) -> None:
    """Wait for the schemas of records, for so many seconds in all."""
    deadline = time.monotonic() + seconds
    for record in records:
        normalise.wait(record, max(0.0, deadline - time.monotonic()))


def check_registry(registry: Registry | None) -> Iterator[Finding]:
    """Yield a finding about the registry if the records that were read need it."""
    if registry is None:
        return
    report = registry.report()
    if report["state"] == "ok":
        yield Finding(True, "schema registry", f"it answers; schemas: {report['schemas']}")
    elif report["state"] == "away" or report["wanted"]:
        why = registry.why_away or "no answer in time"
        advice = "check SCHEMA_REGISTRY_URL, its user name and password, and SCHEMA_REGISTRY_CAFILE"
        yield Finding(False, "schema registry", why, advice)
    else:
        yield Finding(None, "schema registry", "not needed by the last messages")
