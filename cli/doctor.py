"""Check settings, brokers and topic, and give advice on what is wrong.

The checks run in order and stop where no further one is possible. Each step has a deadline, so that the last finding
comes within ten seconds, whatever the broker does. No finding contains a secret.
"""

import time
from collections.abc import Callable, Collection, Generator, Iterator

from msgspec import structs

from consumer.errors import SettingsError, SourceError
from consumer.messages.files import check_files
from consumer.settings import SECRETS, Settings, masked, table
from consumer.sources import open_kafka
from consumer.sources.base import Source
from consumer.sources.security import security_protocol

from .brokers import check_advertised, check_brokers
from .finding import Finding
from .publish import COMPACT, PublishError, TopicDescription, describe_topic
from .topic import check_topic

_ANSWER_SECONDS = 3.5
_TOPIC_SECONDS = 1.5
_DESCRIBE_SECONDS = 1.0
_MAX_CHARACTERS = 200
_CERTIFICATES = frozenset({"kafka_trusted_cert", "kafka_client_cert"})  # public, but a page long
_DEFAULTS = Settings()


def examine(
    settings: Settings,
    open_source: Callable[[Settings], Source] = open_kafka,
    describe: Callable[[Settings, float], TopicDescription] = describe_topic,
) -> Iterator[Finding]:
    """Yield the findings one by one, as soon as they are known."""
    yield Finding(None, "settings", _changed(settings))
    files_ok = yield from _check_files(settings)
    brokers = check_brokers(settings)
    yield from brokers
    if not (files_ok and any(broker.ok for broker in brokers)):
        return
    try:
        source = open_source(structs.replace(settings, watchdog_seconds=10))  # calls then wait 4 s at most
    except SourceError as error:
        yield Finding(False, "Kafka", str(error))
        return
    try:
        yield from _check_kafka(source, settings, describe)
    except SourceError as error:
        yield Finding(False, "broker", str(error), "read the broker's log")
    finally:
        source.close()


def _changed(settings: Settings) -> str:
    names = [name.lower() for name, *_ in table()]
    changed = [name for name in names if getattr(settings, name) != getattr(_DEFAULTS, name)]
    return ", ".join(f"{name.upper()}={_shown(name, settings)}" for name in changed) or "all defaults"


def _shown(name: str, settings: Settings) -> str:
    if name in SECRETS | _CERTIFICATES:
        return "(set, not shown)"
    return masked(name, str(getattr(settings, name)))[:_MAX_CHARACTERS]


def _check_files(settings: Settings) -> Generator[Finding, None, bool]:
    """Yield a finding when a certificate, key or network can't be used; return whether they can."""
    try:
        network = check_files(settings)
    except SettingsError as error:
        yield Finding(False, "settings", str(error), "correct it; docs/settings.md lists all settings")
        return False
    if settings.network_file:
        skipped = f"; {network.skipped}" if network.skipped else ""
        yield Finding(not skipped, "network", f"{len(network.segments)} segments{skipped}")
    return True


def _check_kafka(
    source: Source, settings: Settings, describe: Callable[[Settings, float], TopicDescription]
) -> Iterator[Finding]:
    if not _wait(source, lambda: source.status().last_response is not None, _ANSWER_SECONDS):
        yield _no_answer(source, settings)
        return
    yield Finding(True, "Kafka", "the broker answers")
    if not (yield from _check_advertised(source, settings)):
        return
    if settings.acknowledgements_topic:
        yield _acknowledgements(settings.for_acknowledgements, describe)
    wanted = settings.topics
    _wait(source, lambda: bool(topics := source.status().topics) and not wanted.missing(topics), _TOPIC_SECONDS)
    found = source.status().topics
    yield from _missing(settings, found)
    if found:
        yield from check_topic(source, settings)


def _acknowledgements(settings: Settings, describe: Callable[[Settings, float], TopicDescription]) -> Finding:
    """Return whether the topic of acknowledgements can be used."""
    subject = f"topic {settings.topic}"
    try:
        found = describe(settings, _DESCRIBE_SECONDS)
    except PublishError as error:
        return Finding(None, subject, f"not checked: {error}")
    if not found.partitions:
        how = "create it with `flask --app app create-topic --acknowledgements`, or grant the right to read it"
        return Finding(False, subject, "it does not exist, or may not be read", how)
    if found.partitions > 1:
        how = "create another one with `flask --app app create-topic --acknowledgements`"
        return Finding(False, subject, f"{found.partitions} partitions; acknowledgements need 1", how)
    if found.cleanup_policy is None:
        how = f"cleanup.policy has to be {COMPACT}; this user may not read it (DescribeConfigs)"
        return Finding(None, subject, "1 partition, cleanup.policy unknown", how)
    if found.cleanup_policy != COMPACT:
        how = f"set cleanup.policy={COMPACT} for the topic; until then Kafka deletes acknowledgements by their age"
        return Finding(False, subject, f"cleanup.policy={found.cleanup_policy}", how)
    return Finding(True, subject, f"1 partition, cleanup.policy={COMPACT}")


def _missing(settings: Settings, found: Collection[str]) -> Iterator[Finding]:
    """Yield a finding for each topic that was not found, or for a pattern that no topic matches."""
    how = (
        "create it with `flask --app app create-topic`, correct KAFKA_TOPIC or KAFKA_PREFIX, "
        "or grant the right to read it"
    )
    for name in settings.topics.missing(found):
        yield Finding(False, f"topic {name}", "it does not exist, or may not be read", how)
    if settings.topics.pattern is not None and not found:
        yield Finding(False, f"topics {settings.topic}", "no topic matches that may be read", how)


def _no_answer(source: Source, settings: Settings) -> Finding:
    errors = source.status().connection_errors
    detail = f"no answer to Kafka requests in {_ANSWER_SECONDS:g} s" + (f"; {errors}" if errors else "")
    advice = (
        "check that this is a Kafka broker and that it is not stuck, and check KAFKA_SECURITY_PROTOCOL "
        f"(now {security_protocol(settings)}) with the KAFKA_SASL_* or KAFKA_SSL_* settings"
    )
    return Finding(False, "Kafka", detail, advice)


def _check_advertised(source: Source, settings: Settings) -> Generator[Finding, None, bool]:
    """Yield a finding per advertised address that accepts no connection; return whether any address does."""
    advertised = source.status().brokers
    others = [broker for broker in advertised if broker not in settings.brokers]
    found = check_advertised(others)
    yield from (finding for finding in found if not finding.ok)
    return len(others) < len(advertised) or not found or any(finding.ok for finding in found)


def _wait(source: Source, condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until a condition on the source holds; return False after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return False
        source.request_metadata(min(remaining, 0.2))
    return True
