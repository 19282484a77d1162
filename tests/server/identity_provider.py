"""An OpenID Connect provider on loopback: publishes keys, signs tokens, rotates, goes down."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

AUDIENCE = "pacx"


class IdentityProvider:
    """Signs with its newest key only, and counts how often its keys are fetched."""

    def __init__(self) -> None:
        self.fetches = 0
        self._keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self.rotate()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def issuer(self) -> str:
        """Its name."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def rotate(self) -> None:
        """Publish one new key in place of all others."""
        self._keys = {f"key-{time.monotonic_ns()}": ec.generate_private_key(ec.SECP256R1())}

    def token(self, *, key_id: str | None = None, lifetime_s: float = 60, **claims: object) -> str:
        """A token; claims override, None leaves one out."""
        ((newest, key),) = self._keys.items()
        now = time.time()
        content: dict[str, Any] = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "dr-who",
            "scope": "openid predict",
            "iat": now,
            "exp": now + lifetime_s,
        }
        known = {name: value for name, value in (content | claims).items() if value is not None}
        return jwt.encode(known, key, algorithm="ES256", headers={"kid": key_id or newest})

    def key_set(self) -> bytes:
        """Its public keys (RFC 7517)."""
        keys = []
        for name, key in self._keys.items():
            public = json.loads(ECAlgorithm.to_jwk(key.public_key()))
            keys.append(public | {"kid": name, "use": "sig", "alg": "ES256"})
        return json.dumps({"keys": keys}).encode()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.fetches += 1
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.end_headers()
                self.wfile.write(provider.key_set())

            def log_message(self, format: str, *args: object) -> None:
                del format, args

        return Handler
