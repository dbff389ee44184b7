"""Check before a start that nothing is served to other hosts without authentication by mistake."""

import logging
from collections.abc import Iterable
from ipaddress import ip_address

from consumer.errors import SettingsError
from consumer.settings import Settings

from .authentication import Authentication

log = logging.getLogger("greenwave.web.access")


def check_access(settings: Settings) -> None:
    """Check who may read what this process serves. Raises SettingsError."""
    _check_address(settings, settings.address, f"BIND={settings.bind}")
    Authentication(settings).load()


def check_listeners(settings: Settings, addresses: Iterable[object]) -> None:
    """Check where gunicorn listens, which its option --bind may change. Raises SettingsError.

    An address is a pair (host, port); Unix sockets and descriptors are left to those who open them.
    """
    found = [each for each in addresses if isinstance(each, tuple)]
    for host, port, *_ in found:
        _check_address(settings, str(host), f"--bind {host}:{port}")
    if settings.admin_port:
        _check_admin(settings, {str(host).lower() for host, port, *_ in found if str(port) == settings.admin_port})


def _check_admin(settings: Settings, hosts: set[str]) -> None:
    """Check the hosts at which gunicorn listens with the port of ADMIN_BIND. Raises SettingsError."""
    stated = settings.admin_bind.rpartition(":")[0].strip("[]").lower()
    if stated not in hosts:
        raise SettingsError(f"ADMIN_BIND={settings.admin_bind!r} is not among the addresses of --bind; add it")
    if others := sorted(hosts - {stated}):
        raise SettingsError(
            f"--bind {others[0]}:{settings.admin_port} has the port of ADMIN_BIND={settings.admin_bind!r}, at which "
            "operators are served without credentials; choose another port"
        )


def _check_address(settings: Settings, address: str, stated: str) -> None:
    if not settings.auth and not _is_loopback(address):
        raise SettingsError(
            f"AUTH is not set, and other hosts may reach {stated}; set AUTH=none to serve all clients "
            "without authentication, AUTH=token or AUTH=jwt to require tokens, or no BIND to serve this host only"
        )


def warnings_of(settings: Settings) -> list[str]:
    """Return what to log at the start."""
    return list(filter(None, (_warning_of_clients(settings), _warning_of_operators(settings))))


def _warning_of_operators(settings: Settings) -> str:
    if not settings.admin_bind or _is_loopback(settings.admin_bind.rpartition(":")[0]):
        return ""
    return (
        f"ADMIN_BIND={settings.admin_bind}: every client that reaches this address may read metrics, refused messages "
        "and who is connected, without authentication; let only your monitoring reach it"
    )


def _warning_of_clients(settings: Settings) -> str:
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
