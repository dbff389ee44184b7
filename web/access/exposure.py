"""Check before a start that nothing is served to other hosts without authentication by mistake."""

import logging
from ipaddress import ip_address

from consumer.errors import SettingsError
from consumer.settings import Settings

from .authentication import Authentication

log = logging.getLogger("greenwave.web.access")


def check_access(settings: Settings) -> None:
    """Check who may read what this process serves. Raises SettingsError."""
    if not settings.auth and not _is_loopback(settings.address):
        raise SettingsError(
            f"AUTH is not set, and other hosts may reach BIND={settings.bind}; set AUTH=none to serve all clients "
            "without authentication, AUTH=token or AUTH=jwt to require tokens, or no BIND to serve this host only"
        )
    Authentication(settings).load()


def warning_of(settings: Settings) -> str:
    """Return what to log at the start; "" for nothing."""
    if settings.auth == "none" and not _is_loopback(settings.address):
        return f"AUTH=none: every client that reaches {settings.address}:{settings.port} may read all predictions"
    if not settings.auth and not settings.bind:
        return (
            f"AUTH is not set: only this host is served, at {settings.address}:{settings.port}; set AUTH=none to serve "
            "all clients without authentication, or AUTH=token or AUTH=jwt to require tokens"
        )
    return ""


def _is_loopback(bind: str) -> bool:
    try:
        return ip_address(bind.strip("[]")).is_loopback
    except ValueError:
        return bind == "localhost"
