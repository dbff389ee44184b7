"""The commands `inspect`, which shows what is in a topic, and `check-mapping`, which tests a mapping file offline."""

import json
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import flask
import msgspec

from consumer.errors import SettingsError, SourceError
from consumer.mapping.file import MAX_BYTES
from consumer.messages.intake import Intake
from consumer.messages.normalise import Normaliser
from consumer.messages.normalised import Normalised
from consumer.prediction import Observation
from consumer.settings import Settings
from consumer.sources import open_kafka
from consumer.sources.base import Source
from consumer.sources.record import Record

from .guesses import mapping_text
from .options import WrongInput, app_settings, readable_errors
from .schemas import normaliser, wait_for_schemas
from .survey import Survey
from .topic import read_last

MAX_SAMPLE_BYTES = 33_554_432
MAX_DETAIL_CHARACTERS = 400
_TOPIC_SECONDS = 10.0
_SCHEMA_SECONDS = 10.0


@click.command(short_help="Show what is in a topic, and begin a mapping file.")
@click.option("--topic", help="Topic to read; without it, that of the settings.")
@click.option("--last", type=click.IntRange(1, 10_000), default=200, show_default=True, help="Number of messages.")
@click.option("--write", type=click.Path(dir_okay=False, path_type=Path), help="Mapping file to write.")
@flask.cli.with_appcontext
def inspect(topic: str | None, last: int, write: Path | None) -> None:
    """Read the last messages of a topic; show their encodings, envelopes, keys and paths, and what was refused.

    With --write, a first mapping file is written, with its guesses marked. An existing file is never replaced.
    """
    settings = app_settings()
    if topic is not None:
        settings = msgspec.structs.replace(settings, kafka_topic=topic, kafka_prefix="")
    if write is not None and write.exists():
        raise WrongInput(f"{write} exists; name another file")
    with readable_errors(SettingsError), normaliser(settings) as normalise:
        records = _read(settings, last)
        wait_for_schemas(normalise, records, _SCHEMA_SECONDS)
        survey = Survey(settings, normalise.registry)
        for line in _report(records, survey, normalise):
            click.echo(line)
    if write is not None:
        key = survey.keys.most_common(1)[0][0] if survey.keys else "none"
        write.write_text(mapping_text(settings.topic, survey.paths, key), encoding="utf-8")
        start = f"MAPPING_FILE={write}" if topic is None else f"KAFKA_TOPIC={topic} MAPPING_FILE={write}"
        click.echo(f"written to {write}; check its guesses, then set {start}")


def _read(settings: Settings, count: int) -> list[Record]:
    """Return the last records of the topic. Raises SourceError, also when the topic is not there in time."""
    source = open_kafka(settings)
    try:
        _wait_for_topic(source, settings)
        return read_last(source, count)
    finally:
        source.close()


def _wait_for_topic(source: Source, settings: Settings) -> None:
    deadline = time.monotonic() + _TOPIC_SECONDS
    while not source.status().topics:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            where = f"topic {settings.topic} at {', '.join(settings.brokers)}"
            raise SourceError(
                f"{where} was not found in {_TOPIC_SECONDS:g} s; `flask --app app doctor` finds the reason"
            )
        source.request_metadata(min(remaining, 0.2))


def _report(records: list[Record], survey: Survey, normalise: Normaliser) -> Iterator[str]:
    """Yield the lines of what was read: what is in it, what was understood, and why the rest was refused."""
    intake = Intake()
    reasons: dict[str, str] = {}
    for record in records:
        survey.add(record)
        normalised = normalise(record)
        intake.take(record, normalised)
        for refusal in normalised.refusals:
            reasons.setdefault(refusal.reason, refusal.detail[:MAX_DETAIL_CHARACTERS])
    yield f"records: {len(records)}"
    yield from survey.lines()
    observed = f", {intake.observations} with observations" if intake.observations else ""
    yield f"understood: {intake.messages - intake.refused} of {intake.messages}{observed}"
    for reason, count in intake.by_reason.most_common():
        yield f"refused ({reason}): {count}; the first: {reasons[reason]}"


@click.command("check-mapping", short_help="Test a mapping file with messages in files.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.argument("samples", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--topic", help="Topic of the messages; without it, the one that the file names, or that of the settings."
)
@click.option("--key", help="Key of the messages, as text.")
@flask.cli.with_appcontext
def check_mapping(file: str, samples: tuple[Path, ...], topic: str | None, key: str | None) -> None:
    """Compile a mapping file, and print what each message of the samples becomes.

    A sample is a file with one message, or with one in each line. The exit code is 1 when a message is refused, and 2
    for a mapping that can't be used.
    """
    settings = msgspec.structs.replace(app_settings(), mapping_file=file)
    if (name := topic or _stated_topic(file, settings)) is not None:
        settings = msgspec.structs.replace(settings, kafka_topic=name, kafka_prefix="")
    refused = 0
    with readable_errors(SettingsError), normaliser(settings) as normalise:
        click.echo(f"{file}: can be used")
        for sample in samples:
            for label, value in _messages(sample):
                record = Record(
                    settings.topic, 0, 0, int(time.time() * 1000), None if key is None else key.encode(), value
                )
                wait_for_schemas(normalise, [record], _SCHEMA_SECONDS)
                normalised = normalise(record)
                refused += bool(normalised.refusals)
                for line in _described(normalised):
                    click.echo(f"{label}: {line}")
    if refused:
        sys.exit(1)


def _stated_topic(file: str, settings: Settings) -> str | None:
    """Return the topic that all shapes of a mapping file are for; None if that of the settings is meant.

    Raises WrongInput for a file of several topics, when none of them is the one of the settings.
    """
    if not Path(file).is_file():  # a pipe can be read only once
        return None
    try:
        with Path(file).open("rb") as opened:
            shapes = tomllib.loads(opened.read(MAX_BYTES).decode()).get("shape")
    except (OSError, ValueError):  # reported with its line when the file is compiled
        return None
    stated = {each.get("topic") for each in shapes if isinstance(each, dict)} if isinstance(shapes, list) else set()
    topics = sorted(each for each in stated if isinstance(each, str))
    if len(topics) == 1:
        return topics[0]
    if topics and not {settings.topic, settings.kafka_topic} & set(topics):
        raise WrongInput(f"{file} has shapes for the topics {', '.join(topics)}; name that of the samples with --topic")
    return None


def _messages(sample: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the messages of a file with their labels: the whole file if it is JSON, else each of its lines."""
    with sample.open("rb") as file:
        content = file.read(MAX_SAMPLE_BYTES + 1)
    if len(content) > MAX_SAMPLE_BYTES:
        raise click.ClickException(f"{sample} has more than {MAX_SAMPLE_BYTES} bytes")
    lines = [(number, line) for number, line in enumerate(content.split(b"\n"), 1) if line.strip()]
    if len(lines) > 1 and _is_json(lines[0][1]):
        yield from ((f"{sample}:{number}", line) for number, line in lines)
    else:
        yield str(sample), content


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _described(normalised: Normalised) -> Iterator[str]:
    """Yield a line for each thing that a message becomes."""
    for _, item in normalised.items:
        kind = "observation" if isinstance(item, Observation) else "prediction"
        yield f"{kind} {msgspec.json.encode(item).decode()}"
    for refusal in normalised.refusals:
        where = "" if refusal.index is None else f" item {refusal.index}"
        yield f"refused{where} ({refusal.reason}): {refusal.detail}"
    if normalised.removal is not None:
        yield f"removal of {normalised.removal!r}"
    if not (normalised.items or normalised.refusals or normalised.removal):
        yield "nothing: the message has no items"
