"""Who is calling, and what they may do: API keys, compared in constant time, or bearer tokens."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import HTTPConnection

from pacx.errors import Forbidden, Unauthenticated
from pacx_server.settings import SCOPES, ApiKey, Scope

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


class Verifier(Protocol):
    """Knows another kind of bearer token than our own keys."""

    async def verify(self, token: str) -> Principal:
        """Turn a token into a caller, or raise ``Unauthenticated``."""
        ...


class Authenticator:
    """Turns a request's credentials into a principal.

    Args:
        keys: Callers that are let in by key.
        verifier: Of bearer tokens, where there is one.
    """

    def __init__(self, keys: tuple[ApiKey, ...], verifier: Verifier | None) -> None:
        self._keys = keys
        self._verifier = verifier

    async def identify(self, connection: HTTPConnection) -> Principal:
        """Find out who is calling; without keys and verifier, anybody may do everything.

        Raises:
            Unauthenticated: There is no credential, or it is not valid.
            NotReady: The identity provider cannot be reached.
        """
        if not self._keys and self._verifier is None:
            return ANYBODY
        credential = _credential(connection)
        key = self._matching_key(credential)
        if key is not None:
            return Principal(
                name=key.name, scopes=frozenset(key.scopes), images_per_minute=key.images_per_minute
            )
        # A JWT has three parts (RFC 7515, section 3.1); nothing else is worth the provider's time.
        if self._verifier is None or credential.count(".") != 2:
            raise Unauthenticated("The key or token is not valid.")
        return await self._verifier.verify(credential)

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
