"""Who is calling, and what they may do: API keys, compared in constant time, or bearer tokens."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
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
        background: Whether everybody else goes first.
    """

    name: str
    scopes: frozenset[Scope]
    images_per_minute: int | None = None
    background: bool = False

    def require(self, *scopes: Scope) -> None:
        """Check that the caller has one of some scopes.

        Raises:
            Forbidden: The caller has none of them.
        """
        if not self.scopes & set(scopes):
            raise Forbidden(f"This needs the scope {' or '.join(scopes)}.")


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
        self._guests: dict[str, Principal] = {}

    @contextmanager
    def guest(self, principal: Principal) -> Iterator[str]:
        """Let a process of this server's own in; gives its token, which ends with the block."""
        token = secrets.token_urlsafe(32)
        digest = _digest(token)
        self._guests[digest] = principal
        try:
            yield token
        finally:
            del self._guests[digest]

    async def identify(self, connection: HTTPConnection) -> Principal:
        """Find out who is calling; without keys and verifier, anybody may do everything.

        Raises:
            Unauthenticated: There is no credential, or it is not valid.
            NotReady: The identity provider cannot be reached.
        """
        guest = self._guest(connection)
        if guest is not None:
            return guest
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

    def _guest(self, connection: HTTPConnection) -> Principal | None:
        if not self._guests:
            return None
        try:
            return self._guests.get(_digest(_credential(connection)))
        except Unauthenticated:
            return None

    def _matching_key(self, credential: str) -> ApiKey | None:
        digest = _digest(credential)
        matches = [key for key in self._keys if hmac.compare_digest(key.sha256, digest)]
        return matches[0] if matches else None


def _digest(credential: str) -> str:
    return hashlib.sha256(credential.encode()).hexdigest()


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
