"""Headers that tell browsers what this server's pages may do (OWASP Secure Headers)."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
# Swagger UI sets style attributes on its elements.
_DOCS_CSP = _CSP.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
UNLESS_SAID = {"content-security-policy": _CSP, "cache-control": "no-store"}
"""Where an answer has a policy or a rule for caches of its own, that holds."""
_HSTS = "max-age=31536000"


class Protection:
    """Adds the headers to every answer, and forbids caches to keep what is said about a film."""

    def __init__(self, app: ASGIApp, *, encrypted: bool) -> None:
        self._app = app
        self._encrypted = encrypted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and decorate its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def protect(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._add(MutableHeaders(scope=message), scope["path"])
            await send(message)

        await self._app(scope, receive, protect)

    def _add(self, headers: MutableHeaders, path: str) -> None:
        headers.update(ALWAYS)
        if path == "/docs":
            headers["content-security-policy"] = _DOCS_CSP
        for name, value in UNLESS_SAID.items():
            headers.setdefault(name, value)
        if self._encrypted:
            headers["strict-transport-security"] = _HSTS
