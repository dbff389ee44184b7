"""The quarantine: as JSON, and for browsers as a page, at one address.

With one address, a proxy that keeps it from clients keeps the page from them, too. Everything that is shown comes from
Kafka and is not trusted.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from flask import Blueprint, Response, render_template

from consumer.messages.quarantine import KEPT_VALUE_BYTES, Quarantine
from consumer.parsing.refusal import REFUSAL_REASONS
from web import params, wire
from web.answers import responses
from web.services import services

from .sign_in import POLICY

blueprint = Blueprint("quarantine", __name__)

HTML = "text/html"
MAX_SHOWN = 100
"""Messages that the page shows."""
MAX_NAMES = 50
"""Names of fields that the page lists."""
MAX_NAME_CHARACTERS = 60

_STRING = re.compile(r'"((?:[^"\\]|\\.)*+)(?:"(\s*+:)?|\\?\Z)', re.DOTALL)
"""A string of JSON, with the colon after it. One that is cut ends with the text, so that no part is read twice."""


@blueprint.get("/api/quarantine")
def quarantine() -> Response:
    """Answer with the counts of refused messages by reason, and the last ones that match, for a browser as a page."""
    params.only("q", "reason", "lang")
    words, reason = (params.text("q") or "").strip(), params.one_of("reason", REFUSAL_REASONS)
    known = services().get_consumer().quarantine
    report = known.snapshot()
    found = matching(report["messages"], words, reason)
    if responses.prefers(HTML, responses.JSON):
        response = Response(_page(known, report, found, words, reason), mimetype=HTML)
        response.headers["Content-Security-Policy"] = POLICY
    else:
        content = wire.json_bytes({"success": True, "data": report | {"messages": found}})
        response = Response(content, mimetype=responses.JSON)
    response.headers["Cache-Control"] = "no-store"
    response.vary.add("Accept")
    return response


def matching(messages: Sequence[dict[str, Any]], words: str, reason: str | None) -> list[dict[str, Any]]:
    """Return the messages of a reason, or of all, that have a text anywhere, in any case."""
    return [
        each
        for each in messages
        if (reason is None or each["reason"] == reason) and words.casefold() in _text_of(each).casefold()
    ]


def field_names(value: str) -> set[str]:
    """Return the names in the beginning of a JSON text, at any depth: its strings that a colon follows."""
    return {_unescaped(name)[:MAX_NAME_CHARACTERS] for name, colon in _STRING.findall(value) if colon}


def visible(text: str) -> str:
    """Return a text with all that is no printable character escaped, except for line breaks."""
    return "".join(each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in text)


def _page(
    known: Quarantine, report: dict[str, Any], found: Sequence[dict[str, Any]], words: str, reason: str | None
) -> str:
    by_reason = report["by_reason"]
    reasons = [
        {"name": each, "count": by_reason[each], "times": known.times_of(each)}
        for each in REFUSAL_REASONS
        if each in by_reason
    ]
    names = Counter(name for each in found for name in field_names(each["value"] or ""))
    return render_template(
        "quarantine.html",
        total=report["total"],
        kept=len(report["messages"]),
        reasons=sorted(reasons, key=lambda each: -each["count"]),
        found=found,
        shown=found[:MAX_SHOWN],
        names=names.most_common(MAX_NAMES),
        more_names=max(0, len(names) - MAX_NAMES),
        words=words,
        reason=reason,
        visible=visible,
        kept_bytes=KEPT_VALUE_BYTES,
    )


def _text_of(message: dict[str, Any]) -> str:
    place = f"{message['topic']}/{message['partition']}/{message['offset']}"
    return "\n".join([place, message["reason"], message["detail"], message["key"] or "", message["value"] or ""])


def _unescaped(name: str) -> str:
    if "\\" not in name:
        return name
    try:
        return str(json.loads(f'"{name}"'))
    except ValueError:
        return name
