"""All operations of the API. The answers that access and limits give to most of them are added here."""

from consumer.settings import Settings

from . import (
    acknowledgements,
    configuration,
    health,
    monitoring,
    pages,
    predictions,
    publishing,
    scores,
    streams,
    usual,
)
from .elements import FULL, HTML, JSON, TEXT, Documented, Operation
from .shapes import Failure

UNAUTHORIZED = Documented("With AUTH=token or jwt: credentials are missing, or can't be used", {JSON: Failure})
FORBIDDEN = Documented(
    "The page that sent this is of another site (ALLOWED_ORIGINS); or the token has not the role that this needs",
    {JSON: Failure},
)
UNAVAILABLE = Documented(
    "The process ends; or with AUTH=jwt: the keys for tokens are not known yet",
    {JSON: Failure},
    ("Retry-After",),
)
LARGE = {
    "414": Documented("The request line is longer than 32 KB", {JSON: Failure}),
    "431": Documented("The request line and headers are larger than 32 KB together", {JSON: Failure}),
}
SIGN_IN = Documented("With AUTH=token or jwt: to the sign-in page", {HTML: TEXT}, ("Location",))

OPEN = ("alive", "ready", "file", "sign_in_form", "sign_in", "sign_out")
"""Operations that need no credentials."""
PAGES = ("page", "embed", "docs", "root", "with_slash")
"""Operations that lead browsers without credentials to the sign-in page."""


def operations(settings: Settings) -> list[Operation]:
    """Return all operations."""
    found = [
        *predictions.operations(settings),
        *usual.OPERATIONS,
        *scores.OPERATIONS,
        *acknowledgements.OPERATIONS,
        publishing.operation(settings),
        *health.OPERATIONS,
        *monitoring.OPERATIONS,
        *configuration.OPERATIONS,
        *pages.OPERATIONS,
        *streams.operations(settings),
    ]
    return [each._replace(answers=_common(each) | each.answers) for each in found]


def _common(operation: Operation) -> dict[str, Documented]:
    """Return the answers that most operations may give."""
    answers = {**LARGE, "429": FULL} if operation.is_limited else LARGE
    if operation.name in OPEN:
        return answers
    refused = {"302": SIGN_IN} if operation.name in PAGES else {"401": UNAUTHORIZED, "403": FORBIDDEN}
    return {**answers, **refused, "503": UNAVAILABLE}
