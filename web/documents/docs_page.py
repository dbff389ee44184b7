"""What the page of the documents shows: operations by tag, messages of streams, and schemas."""

from typing import Any


def sections(openapi: dict[str, Any], asyncapi: dict[str, Any]) -> dict[str, Any]:
    """Return the variables of the template."""
    operations = [
        {"path": path, "method": method.upper(), **operation}
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = asyncapi["components"]["schemas"] | openapi["components"]["schemas"]
    messages = [
        {"name": name, "schema": _last(message["payload"]), "text": _text_of(message["payload"], schemas)}
        for name, message in asyncapi["components"]["messages"].items()
    ]
    return {
        "info": openapi["info"],
        "tags": [
            {"name": tag["name"], "operations": [each for each in operations if tag["name"] in each["tags"]]}
            for tag in openapi["tags"]
        ],
        "channels": list(asyncapi["channels"].values()),
        "messages": messages,
        "schemas": {name: _fields(schema) for name, schema in sorted(schemas.items())},
        "type_of": _type_of,
    }


def _type_of(schema: dict[str, Any]) -> str:
    """Return the type of a schema in words."""
    match schema:
        case {"$ref": _}:
            found = _last(schema)
        case {"anyOf": choices}:
            found = " or ".join(dict.fromkeys(map(_type_of, choices)))
        case {"enum": values}:
            found = " | ".join(map(str, values))
        case {"const": value}:
            found = str(value).lower()
        case {"type": "array"}:
            found = f"list of {_type_of(schema.get('items', {}))}"
        case {"properties": fields}:
            found = ", ".join(f"{name}: {_type_of(each)}" for name, each in fields.items())
        case {"additionalProperties": dict(values)}:
            found = f"object of {_type_of(values)}"
        case _:
            bounds = [f"{word} {schema[name]}" for name, word in _BOUNDS.items() if name in schema]
            found = " ".join([schema.get("type", "any"), *bounds])
    return found


_BOUNDS = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}


def _fields(schema: dict[str, Any]) -> dict[str, Any]:
    needed = schema.get("required", ())
    fields = [
        {
            "name": name,
            "type": _type_of(each),
            "text": each.get("description", ""),
            "is_optional": name not in needed,
        }
        for name, each in schema.get("properties", {}).items()
    ]
    return {"text": schema.get("description", ""), "fields": fields}


def _last(schema: dict[str, Any]) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _text_of(payload: dict[str, Any], schemas: dict[str, Any]) -> str:
    return str(schemas[_last(payload)].get("description", ""))
