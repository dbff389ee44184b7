"""Keep secrets out of text: a broker may quote a password in an error, and the Kafka client logs what it receives."""

from collections.abc import Iterable

from .settings import SECRETS, Settings

MASK = "***"
MIN_LENGTH = 4
"""Shorter secrets are not masked: they are part of ordinary words."""


def secrets_of(settings: Settings) -> list[str]:
    """Return the texts to mask, longest first: passwords and keys, the lines of a key, and both as repr() has them."""
    texts = [str(getattr(settings, name)) for name in SECRETS]
    lines = [line.strip() for text in texts for line in (text, *text.splitlines())]
    kept = {line for line in lines if len(line) >= MIN_LENGTH and not line.startswith("-----")}
    return sorted(kept | {repr(line)[1:-1] for line in kept}, key=len, reverse=True)


def mask(text: str, secrets: Iterable[str]) -> str:
    """Return the text with each secret masked."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text
