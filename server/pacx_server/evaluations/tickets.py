"""Tickets: addresses that open one report for some minutes, where a browser can send no key."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time

from pacx.errors import UnknownEvaluation

LIFETIME_S = 600


class Tickets:
    """Issues and checks tickets; they are worth nothing to another server or after a restart."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def issue(self, name: str) -> tuple[str, float]:
        """A ticket for an evaluation's report, and until when it is valid, seconds since 1970."""
        expires = int(time.time()) + LIFETIME_S
        return f"{name}.{expires}.{self._mark(name, expires)}", float(expires)

    def check(self, ticket: str) -> str:
        """The evaluation that a ticket is for.

        Raises:
            UnknownEvaluation: It is none of ours, or too old.
        """
        name, _, rest = ticket.partition(".")
        expires, _, mark = rest.partition(".")
        valid = expires.isdecimal() and expires.isascii() and len(expires) < 16
        if not valid or not hmac.compare_digest(
            mark.encode(), self._mark(name, int(expires)).encode()
        ):
            raise UnknownEvaluation("This address opens no report.")
        if int(expires) < time.time():
            raise UnknownEvaluation("This address is too old.")
        return name

    def _mark(self, name: str, expires: int) -> str:
        return hmac.new(self._secret, f"{name}.{expires}".encode(), hashlib.sha256).hexdigest()
