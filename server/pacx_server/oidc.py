"""Bearer tokens of an OpenID Connect provider: JWTs signed by keys that it publishes (RFC 7519)."""

from __future__ import annotations

import asyncio
import hashlib
import re
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
_UNREACHABLE = (jwt.PyJWKClientConnectionError, jwt.PyJWKSetError, OSError, ValueError)
"""Also what PyJWT lets through: a connection that breaks off, or keys that are no JSON."""
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.@|:\-]{1,128}")


class TokenVerifier:
    """Verifies tokens against the provider's keys, which are cached and follow their rotation."""

    def __init__(self, issuer: OidcIssuer) -> None:
        self._issuer = issuer
        self._keys = jwt.PyJWKClient(
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
