"""The sign-in page: keeps a token in a cookie, because an EventSource and a page's address send no headers."""

import time
from urllib.parse import urlsplit

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from werkzeug.exceptions import Forbidden, LengthRequired
from werkzeug.wrappers import Response as BaseResponse

from web import params
from web.access.authentication import COOKIE
from web.access.origins import is_own
from web.access.principal import Unauthenticated
from web.server.client import receive_within
from web.services import services

blueprint = Blueprint("sign_in", __name__)

MAX_FORM_BYTES = 16_384
FORM_SECONDS = 5.0
"""How long the form may take to arrive."""
POLICY = "; ".join(
    [
        "default-src 'none'",
        "style-src 'self'",
        "img-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)


@blueprint.get("/sign-in")
def form() -> BaseResponse:
    """Show the form, or go on if nothing is required."""
    params.only("next", "lang")
    target = _target(params.text("next"))
    return _form(target, "") if services().authentication.is_on else redirect(target)


@blueprint.post("/sign-in")
def sign_in() -> BaseResponse:
    """Check the token of the form, and keep it in a cookie."""
    _require_own_page()
    authentication = services().authentication
    given = _received()
    target, token = _target(given.get("next")), given.get("token", "").strip()
    try:
        principal = authentication.verify(token)
    except Unauthenticated as error:
        return _form(target, str(error), 401)
    answer = redirect(target, 303)
    if authentication.is_on:
        seconds = None if principal.expires_at is None else max(0, int(principal.expires_at - time.time()))
        answer.set_cookie(
            COOKIE,
            token,
            max_age=seconds,
            path=_cookie_path(),
            secure=request.is_secure,
            httponly=True,
            samesite="Lax",
        )
    return answer


@blueprint.post("/sign-out")
def sign_out() -> BaseResponse:
    """Delete the cookie."""
    _require_own_page()
    answer = redirect(url_for(".form"), 303)
    answer.delete_cookie(COOKIE, path=_cookie_path(), secure=request.is_secure, httponly=True, samesite="Lax")
    return answer


def _require_own_page() -> None:
    if not is_own(request, needs_proof=True):
        raise Forbidden("a page of another site can't sign in or out here")


def _received() -> dict[str, str]:
    """Return the fields of the form. Raises TooManyRequests, RequestEntityTooLarge."""
    request.max_content_length = MAX_FORM_BYTES
    if request.content_length is None:
        raise LengthRequired("the form needs a Content-Length")
    with services().admission.slot() as slot, receive_within(request.environ, FORM_SECONDS):
        slot.require()  # while it arrives
        return request.form.to_dict()


def _form(target: str, error: str, status: int = 200) -> Response:
    answer = make_response(render_template("sign_in.html", target=target, error=error), status)
    answer.headers["Content-Security-Policy"] = POLICY
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _target(given: str | None) -> str:
    """Return where to go after the sign-in: a path of this application, or the page."""
    page = url_for("pages.page")
    if given is None or not given.startswith(f"{request.script_root}/") or given.startswith(("//", "/\\")):
        return page
    parts = urlsplit(given)
    is_path = not parts.scheme and not parts.netloc and given.isprintable() and "\\" not in given
    return given if is_path else page


def _cookie_path() -> str:
    return request.script_root or "/"
