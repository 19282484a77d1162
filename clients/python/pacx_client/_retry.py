"""When to ask again, and how long to wait before.

Questions of this client are pure (asking twice changes nothing on the server), so they may be
asked again after a lost connection, and after 429 and 503, which say themselves when to come
back (RFC 9110, section 10.2.3). An evaluation is asked for again only after such a refusal.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeAlias

import httpx

from pacx_client._errors import ConnectionFailed, TimedOut

Outcome: TypeAlias = httpx.Response | httpx.RequestError

_COME_BACK = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)
# Answers that never came because nobody answered yet. A read that timed out is not among them:
# the server may still be working on it.
_LOST = (httpx.ConnectError, httpx.ConnectTimeout, httpx.RemoteProtocolError, httpx.ReadError)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often to ask again.

    Attributes:
        retries: Attempts after the first; 0 turns retries off.
        first_wait_s: Longest wait before the first retry where the server names none; it
            doubles with every further one.
        longest_wait_s: No wait is longer; a server that wants more is not asked again.
        jitter: Gives numbers in [0, 1), so that callers do not come back all at once.
    """

    retries: int = 3
    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0
    jitter: Callable[[], float] = random.SystemRandom().random

    def wait_s(self, outcome: Outcome, attempt: int, *, pure: bool = True) -> float | None:
        """How long to wait before asking again; None means that this outcome is final.

        Args:
            outcome: What came of the attempt.
            attempt: Number of attempts that were already made, from 1.
            pure: Whether the server may be asked twice; if not, only a refusal is asked again.
        """
        if attempt > self.retries or not _worth_retrying(outcome, pure):
            return None
        backoff_s = min(self.first_wait_s * 2.0 ** min(attempt - 1, 32), self.longest_wait_s)
        asked_s = retry_after_s(outcome) if isinstance(outcome, httpx.Response) else None
        if asked_s is None:
            return backoff_s * (1 + self.jitter()) / 2
        if asked_s > self.longest_wait_s:
            return None
        return min(asked_s + backoff_s * self.jitter(), self.longest_wait_s)


def retry_after_s(response: httpx.Response) -> float | None:
    """Seconds until the server wants to be asked again; None where it does not say.

    ``Retry-After`` holds either whole seconds or a date (RFC 9110, section 10.2.3).
    """
    text = response.headers.get("Retry-After", "").strip()
    if text.isdecimal() and text.isascii():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0)


def answered(outcome: Outcome) -> httpx.Response:
    """The answer behind an outcome.

    Raises:
        TimedOut: The network was silent for too long.
        ConnectionFailed: No answer came for another reason.
    """
    if isinstance(outcome, httpx.Response):
        return outcome
    kind = TimedOut if isinstance(outcome, httpx.TimeoutException) else ConnectionFailed
    raise kind(str(outcome) or type(outcome).__name__) from outcome


def _worth_retrying(outcome: Outcome, pure: bool) -> bool:
    if isinstance(outcome, httpx.Response):
        return outcome.status_code in _COME_BACK
    return pure and isinstance(outcome, _LOST)
