"""Every error that a call of the client can end with.

::

    PacxClientError
    ├── ConnectionFailed        no answer: refused, reset, no such host, bad certificate
    │   └── TimedOut            nothing came for longer than ``timeout_s``
    ├── UnexpectedAnswer        an answer that no PaCX server gives
    ├── ModelChanged            one call was answered by two different models
    └── PacxApiError            the server said no, and why (RFC 9457)
        ├── InvalidInput        400, 413, 415, 422 and any other 4xx
        ├── Unauthorized        401, 403
        ├── NotFound            404
        ├── DeadlinePassed      408, 504
        ├── Overloaded          429, 503, after all retries
        └── ServerFault         409, 507 and any other 5xx
            └── NotInstalled    501

What exactly was wrong is told by ``code``, which is stable; ``docs/api.md`` lists all codes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a server did not do what it was asked (RFC 9457, section 3.1).

    Attributes:
        status: HTTP status.
        code: Stable, machine-readable name; ``unknown`` where the answer held none.
        title: Short summary that is the same for every occurrence.
        detail: What happened here and what would be accepted.
        request_id: The server's name for this request, found in its log too.
    """

    status: int
    code: str = "unknown"
    title: str = ""
    detail: str = ""
    request_id: str | None = None


class PacxClientError(Exception):
    """Base of all errors that the client raises on purpose."""


class ConnectionFailed(PacxClientError):
    """No answer came: refused, reset, no such host, or a certificate that is not trusted."""


class TimedOut(ConnectionFailed):
    """The network was silent for longer than ``timeout_s``."""


class UnexpectedAnswer(PacxClientError):
    """The answer lacks what every PaCX server sends; often a proxy in between."""


class ModelChanged(PacxClientError):
    """The server changed its model during one call; embeddings of two models do not mix."""


class PacxApiError(PacxClientError):
    """The server answered with a problem.

    Attributes:
        problem: Everything that the server said about it.
        retry_after_s: Seconds after which the server wants to be asked again, where it said so.
    """

    def __init__(self, problem: Problem, retry_after_s: float | None = None) -> None:
        """Keep what the server said."""
        super().__init__(problem, retry_after_s)
        self.problem = problem
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        """Status, code and detail in one line."""
        text = self.problem.detail or self.problem.title
        return f"{self.status} {self.code}: {text}" if text else f"{self.status} {self.code}"

    @property
    def status(self) -> int:
        """HTTP status of the answer."""
        return self.problem.status

    @property
    def code(self) -> str:
        """Stable, machine-readable name of the problem."""
        return self.problem.code

    @property
    def detail(self) -> str:
        """What happened here and what would be accepted."""
        return self.problem.detail

    @property
    def request_id(self) -> str | None:
        """The server's name for this request."""
        return self.problem.request_id


class InvalidInput(PacxApiError):
    """The file or the request cannot be used; sending it again will not help."""


class Unauthorized(PacxApiError):
    """The key is missing, wrong, or lacks the scope."""


class NotFound(PacxApiError):
    """No such model, or no such route at this address."""


class DeadlinePassed(PacxApiError):
    """The upload came too slowly, or the answer was not ready in time."""


class Overloaded(PacxApiError):
    """The server is full, not ready, or the key is over its quota."""


class ServerFault(PacxApiError):
    """The server failed or cannot do it; the fault is not in the input."""


class NotInstalled(ServerFault):
    """The server lacks an optional part or engine that this question needs."""


_BY_STATUS: dict[int, type[PacxApiError]] = {
    401: Unauthorized,
    403: Unauthorized,
    404: NotFound,
    408: DeadlinePassed,
    409: ServerFault,
    429: Overloaded,
    501: NotInstalled,
    503: Overloaded,
    504: DeadlinePassed,
}


def error_for(problem: Problem, retry_after_s: float | None = None) -> PacxApiError:
    """The exception that belongs to a problem."""
    otherwise = ServerFault if problem.status >= 500 else InvalidInput
    return _BY_STATUS.get(problem.status, otherwise)(problem, retry_after_s)
