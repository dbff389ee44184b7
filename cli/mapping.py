"""The command `check-mapping`: what a mapping file makes of messages in files, without a broker."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import flask
import msgspec

from consumer.errors import SettingsError
from consumer.messages.normalise import Normaliser
from consumer.messages.normalised import Normalised
from consumer.sources.record import Record

from .options import app_settings, readable_errors

MAX_SAMPLE_BYTES = 33_554_432


@click.command("check-mapping", short_help="Test a mapping file with messages in files.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.argument("samples", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--key", help="Key of the messages, as text.")
@flask.cli.with_appcontext
def check_mapping(file: str, samples: tuple[Path, ...], key: str | None) -> None:
    """Compile a mapping file, and print what each message of the samples becomes.

    A sample is a file with one message, or with one in each line. The exit code is 1 when a message is refused, and 2
    for a mapping that can't be used.
    """
    settings = msgspec.structs.replace(app_settings(), mapping_file=file)
    with readable_errors(SettingsError):
        normalise = Normaliser(settings)
    click.echo(f"{file}: can be used")
    refused = 0
    for sample in samples:
        for label, value in _messages(sample):
            record = Record(0, 0, int(time.time() * 1000), None if key is None else key.encode(), value)
            normalised = normalise(record)
            refused += bool(normalised.refusals)
            for line in _described(normalised):
                click.echo(f"{label}: {line}")
    if refused:
        sys.exit(1)


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
    for _, prediction in normalised.predictions:
        yield f"prediction {msgspec.json.encode(prediction).decode()}"
    for refusal in normalised.refusals:
        item = "" if refusal.index is None else f" item {refusal.index}"
        yield f"refused{item} ({refusal.reason}): {refusal.detail}"
    if normalised.removal is not None:
        yield f"removal of {normalised.removal!r}"
    if not (normalised.predictions or normalised.refusals or normalised.removal):
        yield "nothing: the message has no items"
