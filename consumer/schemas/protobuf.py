"""Decode Protobuf to JSON values with Google's libraries; the schema is the text of a .proto file.

The compiler, protoc, comes with grpcio-tools. It runs in a process of its own, once per schema: a text that makes it
fail or hang does not affect this one. Values are those of Protobuf's JSON mapping under the names of the file, so
64-bit integers are text. Fields without presence have their default when they are not set.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from consumer.parsing.refusal import Refused

from .framing import message_path
from .schema import MAX_VALUE_BYTES, DecodePayload, SchemaText

COMPILE_SECONDS = 20.0
MAX_ERROR_CHARACTERS = 300
_MAIN = "greenwave_schema.proto"
_IMPORT = re.compile(r"[\w.-]+(/[\w.-]+)*\.proto", re.ASCII)


def protobuf_decoder(schema: SchemaText) -> DecodePayload:
    """Return the decoder of a Protobuf schema. Raises ValueError for one that can't be used."""
    files = _compiled(schema)
    pool = descriptor_pool.DescriptorPool()
    try:
        for file in files.file:
            pool.Add(file)
    except TypeError as error:
        raise ValueError(f"it can't be loaded: {error}") from error
    main = next(file for file in files.file if file.name == _MAIN)
    most_fields = max((len(each.field) for file in files.file for each in _messages(file.message_type)), default=0)
    has_any = any(file.name == "google/protobuf/any.proto" for file in files.file)
    known: dict[tuple[int, ...], Any] = {}  # bounded by the messages of the file

    def message_class(path: tuple[int, ...]) -> Any:
        if path not in known:
            known[path] = message_factory.GetMessageClass(pool.FindMessageTypeByName(_full_name(main, path)))
        return known[path]

    def decode(data: bytes, at: int) -> object:
        path, begin = message_path(data, at)
        # A few bytes can be many messages with many fields. What they could take by the schema is estimated first, and
        # only where that is too much what they take. That doesn't see what is in an Any, so there the estimate decides.
        parts = 1 + (len(data) - begin) // _LEAST_MESSAGE_BYTES
        may_be_large = parts * _value_memory(most_fields) > MAX_VALUE_BYTES
        if parts * _parsed_memory(most_fields) > MAX_VALUE_BYTES or (may_be_large and has_any):
            raise Refused(
                "too_large", f"by its schema, {len(data)} bytes could be {parts} messages of {most_fields} fields"
            )
        try:
            message = message_class(path).FromString(data[begin:])
            if may_be_large and _memory(message) > MAX_VALUE_BYTES:
                raise Refused("too_large", f"the value would take more than {MAX_VALUE_BYTES} bytes of memory")
            value: object = json_format.MessageToDict(
                message,
                preserving_proto_field_name=True,
                always_print_fields_with_no_presence=True,
                descriptor_pool=pool,
            )
        except (Refused, ValueError):
            raise
        except Exception as error:  # its own errors, and TypeError for an Any of an unknown type
            raise ValueError(f"{type(error).__name__}: {error}") from error
        return value

    return decode


_LEAST_MESSAGE_BYTES = 2
"""Length of an empty message in another one: its field and its length."""


def _parsed_memory(fields: int) -> int:
    """Return the memory of a parsed message, before it is made a value."""
    return 48 + 8 * fields


def _value_memory(fields: int) -> int:
    """Return the memory of the value of a message with this many fields, which may all be empty arrays."""
    return 160 + 110 * fields


def _messages(found: Any) -> Iterator[Any]:
    for each in found:
        yield each
        yield from _messages(each.nested_type)


def _memory(message: Any) -> int:
    """Return the memory of a message's value, without its texts and numbers; stop where it is too much."""
    size = 0
    rest = [message]
    while rest and size <= MAX_VALUE_BYTES:
        one = rest.pop()
        size += _value_memory(len(one.DESCRIPTOR.fields))
        for field, value in one.ListFields():
            if field.message_type is None:
                continue
            if field.message_type.GetOptions().map_entry:
                rest += [each for each in value.values() if hasattr(each, "DESCRIPTOR")]
                size += len(value) * _value_memory(0)
            elif hasattr(value, "DESCRIPTOR"):
                rest.append(value)
            else:
                rest += value
    return size


def _full_name(file: Any, path: tuple[int, ...]) -> str:
    """Return the name of a message by its indexes. Raises ValueError."""
    names, messages = [file.package] if file.package else [], file.message_type
    for index in path:
        if not 0 <= index < len(messages):
            raise ValueError(f"the schema has no message {'.'.join(map(str, path))}")
        names.append(messages[index].name)
        messages = messages[index].nested_type
    return ".".join(names)


def _compiled(schema: SchemaText) -> Any:
    """Return the FileDescriptorSet of a schema and its imports. Raises ValueError."""
    with tempfile.TemporaryDirectory(prefix="greenwave-proto-") as folder:
        for name, text in (*schema.references, (_MAIN, schema.text)):
            if not _IMPORT.fullmatch(name) or ".." in PurePosixPath(name).parts:
                raise ValueError(f"it imports {name!r}; allowed: a path such as folder/file.proto")
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        output = Path(folder, "descriptors")
        options = ["--include_imports", f"--descriptor_set_out={output}", f"-I{folder}", _MAIN]
        try:
            done = subprocess.run(
                # -P: nothing is imported from the folder, whose names the registry chooses
                [sys.executable, "-P", "-m", "grpc_tools.protoc", *options],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=COMPILE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ValueError(f"protoc took longer than {COMPILE_SECONDS:g} s") from None
        if done.returncode:
            errors = " ".join(done.stderr.decode(errors="replace").split())[:MAX_ERROR_CHARACTERS]
            raise ValueError(f"protoc does not accept it: {errors or done.returncode}")
        return descriptor_pb2.FileDescriptorSet.FromString(output.read_bytes())
