"""The operations that give pages, their files and the documents."""

from .elements import BAD, HTML, JSON, TEXT, UNCHANGED, UNKNOWN, Documented, Operation
from .parameters import LANG, TAG, query
from .shapes import Failure

PAGE = Documented("The page", {HTML: TEXT})
REDIRECT = Documented("To the dashboard", {HTML: TEXT}, ("Location",))
DOCUMENT = {"type": "object"}
THEME = {"type": "string", "enum": ["light", "dark"]}
SWITCH = {"type": "string", "enum": ["0", "1"]}

OPERATIONS = (
    Operation(
        "/predictions",
        "page",
        "Pages",
        "The dashboard",
        {"200": PAGE, "400": BAD},
        [
            query("wall", "Whether it is a display on a wall: large, without controls", SWITCH, "1"),
            query("theme", "Colours on a wall; dark by default", THEME, "dark"),
        ],
        "Other parameters are read by the page itself.",
        ["/predictions", "/predictions?wall=1&theme=light"],
    ),
    Operation(
        "/predictions/embed",
        "embed",
        "Pages",
        "A map, a table or both for a frame",
        {"200": PAGE, "400": BAD},
        [
            query("show", "What is shown", {"type": "string", "enum": ["map", "table", "both"]}, "map"),
            query("theme", "Colours", THEME, "dark"),
        ],
        "The dashboard's own parameters are allowed, too.",
        ["/predictions/embed?show=map&theme=dark"],
    ),
    Operation(
        "/predictions/road/{name}",
        "road",
        "Pages",
        "One road and direction: travel times, and speeds over time and distance",
        {"200": PAGE, "404": Documented("The road is unknown; the page lists the known ones", {HTML: TEXT})},
        [
            {
                "name": "name",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "minLength": 1},
                "description": 'Road and direction, or the whole road name; "+" may stand for a blank',
                "example": "I-405+N",
            }
        ],
        examples=["/predictions/road/I-405+N"],
    ),
    Operation(
        "/sign-in",
        "sign_in_form",
        "Pages",
        "The form for a token",
        {"200": PAGE, "302": Documented("Nothing is required", {HTML: TEXT}, ("Location",)), "400": BAD},
        [query("next", "Where to go then: a path of this server", TEXT), LANG],
        examples=["/sign-in"],
    ),
    Operation(
        "/sign-in",
        "sign_in",
        "Pages",
        "Keep a token in a cookie",
        {
            "303": Documented("To where the form leads, with the cookie", {HTML: TEXT}, ("Location",)),
            "401": Documented("The form again: the token can't be used", {HTML: TEXT}),
            "403": Documented("A page of another site sent it", {JSON: Failure}),
            "411": Documented("The form has no Content-Length", {JSON: Failure}),
            "413": Documented("The form is too large", {JSON: Failure}),
        },
        text="A form of this server's own page with `token` and `next`.",
        method="post",
    ),
    Operation(
        "/sign-out",
        "sign_out",
        "Pages",
        "Delete the cookie",
        {
            "303": Documented("To the form", {HTML: TEXT}, ("Location",)),
            "403": Documented("A page of another site sent it", {JSON: Failure}),
        },
        method="post",
    ),
    Operation("/", "root", "Pages", "Redirect to the dashboard", {"302": REDIRECT}, examples=["/"]),
    Operation("/predictions/", "with_slash", "Pages", "Redirect to the dashboard", {"302": REDIRECT}),
    Operation(
        "/docs",
        "docs",
        "Documents",
        "This document as a page",
        {"200": PAGE._replace(headers=("ETag",)), "304": UNCHANGED, "400": BAD},
        [TAG],
        examples=["/docs"],
    ),
    Operation(
        "/openapi.json",
        "openapi",
        "Documents",
        "This document (OpenAPI 3.1)",
        {"200": Documented("The document", {JSON: DOCUMENT}, ("ETag",)), "304": UNCHANGED, "400": BAD},
        [TAG],
        examples=["/openapi.json"],
    ),
    Operation(
        "/asyncapi.json",
        "asyncapi",
        "Documents",
        "The streams (AsyncAPI 3)",
        {"200": Documented("The document", {JSON: DOCUMENT}, ("ETag",)), "304": UNCHANGED, "400": BAD},
        [TAG],
        examples=["/asyncapi.json"],
    ),
    Operation(
        "/static/{filename}",
        "file",
        "Pages",
        "A file of the pages",
        {
            "200": Documented("The file", {"*/*": TEXT}),
            "206": Documented("A part of it", {"*/*": TEXT}),
            "304": Documented("The client has it"),
            "404": UNKNOWN,
            "416": Documented("The range can't be used", {JSON: Failure}),
        },
        [
            {
                "name": "filename",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "minLength": 1},
                "description": "Path of the file",
                "example": "js/main.js",
            }
        ],
        examples=["/static/js/main.js"],
        is_limited=False,
    ),
)
