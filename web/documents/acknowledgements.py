"""Acknowledgements: shapes of the answers, and operations."""

from typing import Any, Literal, TypedDict

from web.acknowledgements.acknowledged import MAX_KEPT, SharedAcknowledgement
from web.api.acknowledgements import MAX_ALERTS, MAX_NAME, MAX_NOTE

from .elements import BAD, JSON, UNCHANGED, UNKNOWN, Documented, Operation, success
from .parameters import TAG
from .shapes import Failure

PATH = "/api/acknowledgements"
TAG_NAME = "Acknowledgements"
TIME = {"type": "integer", "minimum": 0}
ALERT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "segment_id": {"type": "string", "minLength": 1, "maxLength": 256},
        "kind": {"enum": ["severe", "drop"]},
        "since": TIME,
        "until": TIME,
    },
    "required": ["segment_id", "kind", "since", "until"],
    "additionalProperties": False,
}
CHANGE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "action": {"enum": ["acknowledge", "renew", "undo"]},
        "alerts": {"type": "array", "items": ALERT, "minItems": 1, "maxItems": MAX_ALERTS},
        "name": {"type": "string", "maxLength": MAX_NAME},
        "note": {"type": "string", "maxLength": MAX_NOTE},
    },
    "required": ["action", "alerts"],
    "additionalProperties": False,
}


class AcknowledgementList(TypedDict):
    """The acknowledgements that the client may see, the last one first. `off`: they are not shared."""

    state: Literal["off", "shared"]
    acknowledgements: list[SharedAcknowledgement]


OPERATIONS = (
    Operation(
        PATH,
        "acknowledgements",
        TAG_NAME,
        "Which alerts have been seen, and who has seen them",
        {"200": success("The acknowledgements", AcknowledgementList), "304": UNCHANGED, "400": BAD},
        [TAG],
        f"At most {MAX_KEPT:,}. Alerts are found by the page; here they have a segment, a kind, and the times of data "
        "from which and until which they are known.",
        [PATH],
    ),
    Operation(
        PATH,
        "change_acknowledgements",
        TAG_NAME,
        "Acknowledge alerts, undo that, or keep that they last",
        {
            "200": success("All acknowledgements after the change", AcknowledgementList),
            "400": Documented(
                "The body can't be used; the error names what is wrong and what is allowed", {JSON: Failure}
            ),
            "403": Documented("Acknowledgements are not shared, or the page is of another site", {JSON: Failure}),
            "404": UNKNOWN,
            "413": Documented("The body is too large", {JSON: Failure}),
            "415": Documented("The body is of another type", {JSON: Failure}),
        },
        text="With AUTH on, the name is that of the token. Alerts of segments that are not in the view are left out; "
        "404 if none is.",
        method="post",
        body={JSON: CHANGE},
    ),
)
