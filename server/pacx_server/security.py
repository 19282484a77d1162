"""Who is calling, and what they may do: API keys by header, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from pacx.errors import Forbidden, Unauthenticated
from pacx_server.settings import SCOPES, ApiKey, Scope, Settings

LONGEST_CREDENTIAL = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A caller.

    Attributes:
        name: As the configuration calls it, or the token's subject.
        scopes: What it may do.
        images_per_minute: Its quota, None for no limit.
    """

    name: str
    scopes: frozenset[Scope]
    images_per_minute: int | None = None

    def require(self, scope: Scope) -> None:
        """Check one scope.

        Raises:
            Forbidden: The caller does not have it.
        """
        if scope not in self.scopes:
            raise Forbidden(f"This needs the scope {scope}.")


ANYBODY = Principal(name="anonymous", scopes=frozenset(SCOPES))


class Authenticator:
    """Turns a request's credentials into a principal."""

    def __init__(self, settings: Settings) -> None:
        self._keys = settings.api_keys
        self._open = not settings.authenticated

    async def identify(self, connection: HTTPConnection) -> Principal:
        """Find out who is calling.

        Raises:
            Unauthenticated: There is no credential, or it is not valid.
        """
        if self._open:
            return ANYBODY
        credential = _credential(connection)
        key = self._matching_key(credential)
        if key is None:
            raise Unauthenticated("The key or token is not valid.")
        return Principal(
            name=key.name, scopes=frozenset(key.scopes), images_per_minute=key.images_per_minute
        )

    def _matching_key(self, credential: str) -> ApiKey | None:
        digest = hashlib.sha256(credential.encode()).hexdigest()
        matches = [key for key in self._keys if hmac.compare_digest(key.sha256, digest)]
        return matches[0] if matches else None


def _credential(connection: HTTPConnection) -> str:
    """The value of ``x-api-key``, or of ``authorization: Bearer``."""
    value = connection.headers.get("x-api-key")
    if value is None:
        scheme, _, value = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated("Send a key as x-api-key, or as authorization: Bearer.")
    if not value or len(value) > LONGEST_CREDENTIAL:
        raise Unauthenticated("The key or token is not valid.")
    return value
