"""Find the principal of each request, before anything else of it is handled, and check what its route needs."""

from urllib.parse import urlencode, urlsplit

from flask import Flask, Response, g, redirect, request, url_for
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import BadRequest, Forbidden, Unauthorized
from werkzeug.wrappers import Response as BaseResponse

from .authentication import Authentication, Credentials, credentials_of
from .origins import is_own
from .principal import ANYONE, NO_RIGHTS, Role, Unauthenticated
from .rules import RULES, Rule

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""
PROBES = frozenset({"health.healthz", "health.readyz"})
"""Endpoints that are asked by address."""
SIGN_IN = "sign_in.form"
_ROLES: dict[Rule, Role] = {Rule.OPERATE: "operator", Rule.PUBLISH: "publisher"}
MISSING = "credentials are missing; send the header Authorization: Bearer TOKEN, or sign in at /sign-in"
FOREIGN = "a request of another site can't use the cookie of this one; send the header Authorization: Bearer TOKEN"


class Guard:
    """Decides on each request of one app."""

    def __init__(self, authentication: Authentication, hosts: frozenset[str]) -> None:
        self._authentication = authentication
        self._hosts = hosts

    def register(self, app: Flask) -> None:
        """Guard all routes. To be called before what may refuse a request for other reasons."""
        app.before_request(self.check)
        app.after_request(self.keep_private)

    def check(self) -> BaseResponse | None:
        """Set the principal of the request. Raises BadRequest, Unauthorized, Forbidden."""
        if self._hosts and request.endpoint not in PROBES:
            self._check_host()
        if not self._authentication.is_on:
            g.principal = ANYONE
            return None
        g.principal = NO_RIGHTS
        if request.endpoint is None or request.method == "OPTIONS":
            return None  # no view runs
        rule = RULES.get(request.endpoint)
        if rule is None:
            raise Forbidden("this route can't be used while AUTH is on")
        if rule is Rule.OPEN:
            self._authentication.prepare()  # probes come before clients
            return None
        try:
            self._identify(credentials_of(request))
        except Unauthenticated as error:
            if rule is Rule.PAGE:
                return redirect(f"{url_for(SIGN_IN)}?{urlencode({'next': _path()})}")
            raise Unauthorized(
                str(error), www_authenticate=WWWAuthenticate("bearer", {"realm": "greenwave"})
            ) from error
        role = _ROLES.get(rule)
        if role is not None and role not in g.principal.roles:
            raise Forbidden(f"this needs a token with the role {role}")
        return None

    def _check_host(self) -> None:
        """Refuse a page that reaches this server by a name of its own, whose address it has changed (DNS rebinding)."""
        name = urlsplit(f"//{request.host}").hostname if request.host else None
        if name not in self._hosts:
            raise BadRequest("the host of this request is not in ALLOWED_HOSTS")

    def _identify(self, credentials: Credentials | None) -> None:
        if credentials is None:
            raise Unauthenticated(MISSING)
        if credentials.is_cookie and not is_own(request, needs_proof=request.method not in SAFE):
            raise Unauthenticated(FOREIGN)
        g.principal = self._authentication.verify(credentials.token)

    def keep_private(self, response: Response) -> Response:
        """Keep what one client may see out of caches that others share."""
        if self._authentication.is_on and request.endpoint != "static":
            stated = response.headers.get("Cache-Control", "no-cache")
            response.headers["Cache-Control"] = f"private, {stated}"
            response.vary.update(("Authorization", "Cookie"))
        return response


def _path() -> str:
    """Return path and query of the request, with the prefix of the application."""
    query = request.query_string.decode("ascii", "replace")
    return f"{request.script_root}{request.path}" + (f"?{query}" if query else "")
