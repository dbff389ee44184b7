"""Read the settings from the environment; a wrong value is refused with its name, the value and what is allowed."""

from collections.abc import Mapping
from typing import Any

import msgspec

from .checks import check, refusal
from .fields import Settings


def load(environ: Mapping[str, str]) -> Settings:
    """Read the settings from a mapping such as os.environ.

    A variable that is empty counts as not set. Raises SettingsError, which names the variable, its value and what
    is allowed.
    """
    given = {name: environ[name.upper()] for name in Settings.__struct_fields__ if environ.get(name.upper())}
    if "kafka_trusted_cert" in given:
        # Heroku's certificates don't carry the names of their brokers. An explicit setting counts more.
        given.setdefault("kafka_ssl_check_hostname", "false")
    values = {name: _convert(name, text) for name, text in given.items()}
    settings = Settings(**values)
    check(settings)
    return settings


def table() -> list[tuple[str, str, str, str]]:
    """Return the rows (name, default, unit, help) in the order of the class."""
    schema = msgspec.json.schema(Settings)["$defs"]["Settings"]["properties"]
    rows = []
    for name, default in zip(Settings.__struct_fields__, Settings.__struct_defaults__, strict=True):
        field = schema[name]
        rows.append((name.upper(), _shown(default), field.get("unit", ""), field["description"]))
    return rows


def _shown(default: Any) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)


_TYPES = {field.name: field.type for field in msgspec.structs.fields(Settings)}
_WORDS = {"1": "true", "yes": "true", "on": "true", "0": "false", "no": "false", "off": "false"}


def _convert(name: str, text: str) -> Any:
    if msgspec.json.schema(_TYPES[name]).get("type") == "boolean":
        text = _WORDS.get(text.lower(), text.lower())
    try:
        return msgspec.convert(text, _TYPES[name], strict=False)
    except msgspec.ValidationError as error:
        raise refusal(name, text, _allowed(name)) from error


def _allowed(name: str) -> str:
    """Describe the values that a field's type allows."""
    schema = msgspec.json.schema(_TYPES[name])
    if "enum" in schema:
        return "one of " + ", ".join(filter(None, schema["enum"]))
    words = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}.get(schema["type"], "text")
    bounds = [f"{word} {schema[key]}" for key, word in _BOUNDS.items() if key in schema]
    return " ".join([words, *bounds])


_BOUNDS = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "pattern": "that matches"}
