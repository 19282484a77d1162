"""Bearer tokens of an OpenID Connect provider: JWTs signed by keys that it publishes (RFC 7519)."""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
import time
from typing import Any

import jwt

from pacx.errors import NotReady, Unauthenticated
from pacx_server.security import Principal
from pacx_server.settings import SCOPES, OidcIssuer, Scope

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
"""Asymmetric only: with a symmetric one a published key would be a signing key."""
LEEWAY_S = 30
KEYS_LIFESPAN_S = 300
FETCH_TIMEOUT_S = 5
FIRST_KEYS_REST_S = 1
"""Between two attempts to get any key at all."""
_UNREACHABLE = (jwt.PyJWKClientConnectionError, jwt.PyJWKSetError, OSError, ValueError)
"""Also what PyJWT lets through: a connection that breaks off, or keys that are no JSON."""
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.@|:\-]{1,128}")


class ProviderKeys(jwt.PyJWKClient):
    """PyJWT's client, but a fetch that failed is not repeated at once either.

    Otherwise tokens with unknown key ids, which anybody can send, would cause one fetch after the
    other while the provider is down, for each of which good tokens wait.
    """

    _failed_at = -math.inf

    def fetch_data(self) -> dict[str, Any]:
        """Fetch the keys; see PyJWT's.

        Raises:
            jwt.PyJWKClientConnectionError: The provider is out of reach, or was a moment ago.
        """
        known = self.jwk_set_cache is not None and self.jwk_set_cache.get() is not None
        rest_s = self.cooldown_duration if known else FIRST_KEYS_REST_S
        if time.monotonic() < self._failed_at + rest_s:
            raise jwt.PyJWKClientConnectionError("The last fetch has just failed.")
        try:
            fetched: dict[str, Any] = super().fetch_data()
        except Exception:
            self._failed_at = time.monotonic()
            raise
        return fetched


class TokenVerifier:
    """Verifies tokens against the provider's keys, which are cached and follow their rotation."""

    def __init__(self, issuer: OidcIssuer) -> None:
        self._issuer = issuer
        self._keys = ProviderKeys(
            str(issuer.jwks_url),
            lifespan=KEYS_LIFESPAN_S,
            timeout=FETCH_TIMEOUT_S,
            cooldown_duration=issuer.refresh_cooldown_s,
        )

    async def verify(self, token: str) -> Principal:
        """Turn a token into a caller.

        Raises:
            Unauthenticated: Signature, issuer, audience or time do not fit.
            NotReady: The provider's keys cannot be fetched.
        """
        claims = await asyncio.to_thread(self._claims, token)
        return Principal(
            name=_name(str(claims["sub"])),
            scopes=_scopes(claims),
            images_per_minute=self._issuer.images_per_minute,
        )

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            key = self._keys.get_signing_key_from_jwt(token)
            return jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=self._issuer.audience,
                issuer=self._issuer.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except _UNREACHABLE as error:
            raise NotReady("The identity provider cannot be reached.", retry_after_s=5) from error
        except jwt.PyJWTError as error:
            raise Unauthenticated("The token is not valid.") from error


def _name(subject: str) -> str:
    """The subject where it is plain text, else a hash of it, so that no log can be forged.

    The prefix keeps it apart from the names of keys, which hold no colon.
    """
    if _PLAIN_NAME.fullmatch(subject):
        return f"oidc:{subject}"
    return f"oidc:sha256:{hashlib.sha256(subject.encode()).hexdigest()[:16]}"


def _scopes(claims: dict[str, Any]) -> frozenset[Scope]:
    """Scopes of ours among ``scope`` (RFC 8693) or ``scp``."""
    granted = claims.get("scope", claims.get("scp", ""))
    names = granted.split() if isinstance(granted, str) else granted
    if not isinstance(names, list):
        return frozenset()
    return frozenset(scope for scope in SCOPES if scope in names)
