"""JSON Web Tokens (RFC 7519), checked by PyJWT.

The algorithm follows from the key, never from the token: a secret checks HS256 only, a public key RS256 or ES256.
"""

import jwt

from consumer.errors import SettingsError
from consumer.settings import Settings

from .claims import claims_of, principal_of
from .keys import KeyFile, KeySource, KeyUrl, VerifyingKey
from .principal import Principal, Unauthenticated
from .tokens import key_of

MAX_NAME = 128


class Jwts:
    """The tokens of AUTH=jwt. Any thread may use it."""

    def __init__(self, settings: Settings, keys: KeySource | None = None) -> None:
        self._settings = settings
        self._keys = keys or _keys_of(settings)

    def load(self) -> None:
        """Read what is in a file. Raises SettingsError."""
        try:
            self._keys.load()
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"AUTH_JWT_KEYS={self._settings.auth_jwt_keys!r} can't be used: {error}; allowed: a file with a key "
                "set (JWKS) or a public key (PEM), or a URL of a key set"
            ) from error

    def prepare(self) -> None:
        """Begin to fetch the keys, if that is due."""
        self._keys.prepare()

    def find(self, token: str) -> Principal:
        """Return the principal of a token. Raises Unauthenticated, with a text that tells nothing of the keys."""
        settings = self._settings
        try:
            key = self._keys.find(jwt.get_unverified_header(token).get("kid"))
            given = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],
                audience=settings.auth_jwt_audience,
                issuer=settings.auth_jwt_issuer or None,
                leeway=settings.auth_jwt_leeway,
                options={"require": ["exp"]},
            )
            expires_at = float(given["exp"]) + settings.auth_jwt_leeway
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated("the token has expired") from error
        except jwt.ImmatureSignatureError as error:
            raise Unauthenticated("the token is not valid yet") from error
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise Unauthenticated("the token is not valid") from error
        subject = str(given.get("sub") or "jwt")[:MAX_NAME]
        name = "".join(each if each.isprintable() else "?" for each in subject)  # it is logged
        try:
            claims = claims_of(given.get(settings.auth_jwt_claim, {}))
        except ValueError as error:
            raise Unauthenticated(f"the claim {settings.auth_jwt_claim} of the token can't be used") from error
        return principal_of(claims, settings, name, key_of(token), expires_at)

    def has(self, principal: Principal) -> bool:  # noqa: ARG002 - a JWT ends by expiry alone
        """Return True."""
        return True


class _Secret:
    """One secret, for HS256."""

    def __init__(self, secret: str) -> None:
        self._key = VerifyingKey(secret.encode(), "HS256")

    def load(self) -> None:
        """Do nothing."""

    def prepare(self) -> None:
        """Do nothing."""

    def find(self, kid: object) -> VerifyingKey:  # noqa: ARG002 - there is one
        """Return the key."""
        return self._key


def _keys_of(settings: Settings) -> KeySource:
    if settings.auth_jwt_secret:
        return _Secret(settings.auth_jwt_secret)
    given = settings.auth_jwt_keys
    return KeyUrl(given) if "://" in given else KeyFile(given)
