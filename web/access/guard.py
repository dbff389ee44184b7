"""Find the principal of each request, before anything else of it is handled, and check what its route needs."""

from socket import AF_UNIX
from urllib.parse import urlencode, urlsplit

from flask import Flask, Response, g, redirect, request, url_for
from msgspec import structs
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import BadRequest, Forbidden, Unauthorized
from werkzeug.wrappers import Response as BaseResponse

from consumer.settings import Settings

from .authentication import Authentication, credentials_of
from .origins import AllowedOrigins, is_own
from .principal import ANYONE, NO_RIGHTS, Principal, Role, Unauthenticated, current
from .rules import RULES, STREAM_ROUTES, Rule
from .tickets import PARAMETER

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""
PROBES = frozenset({"health.healthz", "health.readyz"})
"""Endpoints that are asked by address."""
SIGN_IN = "sign_in.form"
HEALTH = "health.health"
OPERATOR = Principal(roles=frozenset({"operator"}))
"""The principal of requests at ADMIN_BIND for what operators see."""
WITH_DATA = frozenset({Rule.READ, Rule.OPERATE, Rule.PUBLISH})
"""Rules of routes that pages of other sites use only if they are allowed."""
_ROLES: dict[Rule, Role] = {Rule.OPERATE: "operator", Rule.PUBLISH: "publisher"}
MISSING = "credentials are missing; send the header Authorization: Bearer TOKEN, or sign in at /sign-in"
FOREIGN = "a request of another site can't use the cookie of this one; send the header Authorization: Bearer TOKEN"


class Guard:
    """Decides on each request of one app."""

    def __init__(self, authentication: Authentication, settings: Settings, allowed: AllowedOrigins) -> None:
        self._authentication = authentication
        self._hosts = settings.hosts
        self._admin_port = settings.admin_port
        self._allowed = allowed

    def register(self, app: Flask) -> None:
        """Guard all routes. To be called before what may refuse a request for other reasons."""
        app.before_request(self.check)
        app.after_request(self.keep_private)

    def check(self) -> BaseResponse | None:
        """Set the principal of the request. Raises BadRequest, Unauthorized, Forbidden."""
        if self._hosts and request.endpoint not in PROBES:
            self._check_host()
        g.principal = NO_RIGHTS if self._authentication.is_on else ANYONE
        if request.endpoint is None or request.method == "OPTIONS":
            return None  # no view runs
        rule = RULES.get(request.endpoint)
        if self._admin_port and (rule is Rule.OPERATE or request.endpoint == HEALTH):
            answer = self._check_listener(rule)
        else:
            answer = self._authenticate(rule) if self._authentication.is_on else None
        if rule in WITH_DATA:
            self._check_origin()
        return answer

    def _check_listener(self, rule: Rule | None) -> BaseResponse | None:
        """Give the role of operators to all requests at ADMIN_BIND, and to no other. Raises Forbidden."""
        if _listener_port() == self._admin_port:
            g.principal = OPERATOR
            return None
        if rule is Rule.OPERATE:
            raise Forbidden("routes of operators are served at ADMIN_BIND only")
        answer = self._authenticate(rule) if self._authentication.is_on else None
        g.principal = structs.replace(g.principal, roles=g.principal.roles - {"operator"})
        return answer

    def _authenticate(self, rule: Rule | None) -> BaseResponse | None:
        """Find the principal of the request, and check that it may use a route with this rule."""
        if rule is None:
            raise Forbidden("this route can't be used while AUTH is on")
        if rule is Rule.OPEN:
            self._authentication.prepare()  # probes come before clients
            return None
        try:
            self._identify()
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

    def _check_origin(self) -> None:
        """Refuse a page of another site, unless it is allowed. The browser may not ask the server before."""
        origin = request.headers.get("Origin")
        if self._allowed.include(origin) or is_own(request, needs_proof=False):
            return
        raise Forbidden(
            f"pages of {_shown(origin)} may not connect; allowed: this host's own pages, and those of ALLOWED_ORIGINS"
        )

    def _identify(self) -> None:
        """Find the principal. Raises Unauthenticated."""
        if request.endpoint in STREAM_ROUTES and PARAMETER in request.args:
            g.principal = self._authentication.redeem(request.args[PARAMETER])
            return
        credentials = credentials_of(request)
        if credentials is None:
            raise Unauthenticated(MISSING)
        is_trusted = not credentials.is_cookie or self._allowed.names(request.headers.get("Origin"))
        if not is_trusted and not is_own(request, needs_proof=request.method not in SAFE):
            raise Unauthenticated(FOREIGN)
        g.principal = self._authentication.verify(credentials.token)

    def keep_private(self, response: Response) -> Response:
        """Keep what one client may see out of caches that others share."""
        if self._authentication.is_on and request.endpoint != "static":
            stated = response.headers.get("Cache-Control", "no-cache")
            response.headers["Cache-Control"] = f"private, {stated}"
            response.vary.update(("Authorization", "Cookie"))
        return response


def may_operate(settings: Settings) -> bool:
    """Tell whether routes of operators answer the client of the current request, at the address it has used."""
    if settings.admin_port:
        return _listener_port() == settings.admin_port
    return "operator" in current().roles


def _listener_port() -> str | None:
    """Return the port at which the request came in; None for a Unix socket, whose SERVER_PORT is that of `Host`."""
    family = getattr(request.environ.get("gunicorn.socket"), "family", None)
    return None if family == AF_UNIX else request.environ.get("SERVER_PORT")


def _shown(origin: str | None) -> str:
    return "another site" if origin is None else repr(origin[:200])


def _path() -> str:
    """Return path and query of the request, with the prefix of the application."""
    query = request.query_string.decode("ascii", "replace")
    return f"{request.script_root}{request.path}" + (f"?{query}" if query else "")
