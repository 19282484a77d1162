"""What pages of other origins may ask for and read, where the settings name such origins."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from pacx.errors import MalformedRequest
from pacx_server.problems import respond_to

_METHODS = ("GET", "POST", "DELETE")
_SENT = (
    "authorization",
    "content-type",
    "inference-header-content-length",
    "traceparent",
    "x-api-key",
    "x-request-id",
)
_READ = (
    "inference-header-content-length",
    "location",
    "retry-after",
    "www-authenticate",
    "x-inference-time",
    "x-model-name",
    "x-model-sha256",
    "x-model-version",
    "x-preprocessing-sha256",
    "x-queue-time",
    "x-request-id",
    "x-total-time",
    "x-warnings",
)
_REFUSAL = MalformedRequest("Pages of this origin may not send such a request.")


class Sharing(CORSMiddleware):
    """CORS without credentials of the browser; what it refuses is a problem as any other."""

    def __init__(self, app: ASGIApp, *, origins: tuple[str, ...]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=_METHODS,
            allow_headers=_SENT,
            expose_headers=_READ,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer preflights, and let all else pass."""
        if _is_preflight(scope):
            answer = self.preflight_response(request_headers=Headers(scope=scope))
            if answer.status_code >= 400:
                refusal = respond_to(_REFUSAL, scope)
                refusal.headers["vary"] = answer.headers["vary"]
                answer = refusal
            await answer(scope, receive, send)
            return
        await super().__call__(scope, receive, send)


def _is_preflight(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "OPTIONS":
        return False
    headers = Headers(scope=scope)
    return "origin" in headers and "access-control-request-method" in headers
