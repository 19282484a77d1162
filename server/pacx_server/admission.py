"""Back-pressure at the door: what comes in is bounded by count, by bytes and by caller."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pacx.errors import NotReady, QueueFull, QuotaExceeded
from pacx_server.presence import Presence
from pacx_server.security import Principal

FAIR_SHARE = 2.0
"""A caller may hold this many times the free places (dynamic thresholds, Choudhury & Hahne 1998).

Whoever floods the server alone gets two thirds of it, and others always find room.
"""
MINUTE_S = 60.0


class Ticket:
    """The places that one admitted request holds."""

    def __init__(self, admission: Admission, principal: Principal) -> None:
        self._admission = admission
        self.principal = principal
        self.images = 0
        self.size_bytes = 0

    def hold(self, *, images: int = 0, size_bytes: int = 0) -> None:
        """Ask for more places.

        Raises:
            QueueFull: A bound is reached; the message says which.
            QuotaExceeded: The caller's quota is used up.
        """
        self._admission.take(self, images, size_bytes)
        self.images += images
        self.size_bytes += size_bytes


class Admission:
    """Counts what has been admitted and not yet answered.

    Args:
        count: Images at once, of all callers.
        size_bytes: Bytes of uploads at once, of all callers.
        shared: Whether several callers can be told apart and have to share.
        clock: Seconds; any monotonic clock.
    """

    def __init__(
        self,
        *,
        count: int,
        size_bytes: int,
        shared: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._count = count
        self._size_bytes = size_bytes
        self._shared = shared
        self._clock = clock
        self._held: Counter[str] = Counter()
        self._quotas: dict[str, _Quota] = {}
        self.presence = Presence()
        self.images = 0
        self.bytes_held = 0
        self.refusal: NotReady | None = None

    @contextmanager
    def admit(self, principal: Principal, *, size_bytes: int) -> Iterator[Ticket]:
        """Hold a place for one image until the block ends.

        Args:
            principal: Whose request it is.
            size_bytes: Declared length of the body, 0 where it is not declared.

        Raises:
            NotReady: The server is starting or shutting down.
            QueueFull: A bound is reached; the message says which.
            QuotaExceeded: The caller's quota is used up.
        """
        if self.refusal is not None:
            raise NotReady(self.refusal.detail, retry_after_s=self.refusal.retry_after_s)
        ticket = Ticket(self, principal)
        ticket.hold(images=1, size_bytes=size_bytes)
        try:
            with self.presence.inside():
                yield ticket
        finally:
            self._release(ticket)

    def take(self, ticket: Ticket, images: int, size_bytes: int) -> None:
        """Count more places for a ticket; see :meth:`Ticket.hold`."""
        free = self._count - self.images
        if images > free:
            raise QueueFull(
                f"{self.images} images are in work and the limit is {self._count}.",
                retry_after_s=1,
            )
        mine = self._held[ticket.principal.name] + images
        if self._shared and images and mine > max(1, FAIR_SHARE * free):
            raise QueueFull("The server is busy and this caller has its share.", retry_after_s=1)
        if size_bytes and self.bytes_held + size_bytes > self._size_bytes:
            raise QueueFull(
                f"Uploads in work hold up to {self._size_bytes} bytes, which is the limit.",
                retry_after_s=1,
            )
        self._charge(ticket.principal, images)
        self.images += images
        self.bytes_held += size_bytes
        self._held[ticket.principal.name] += images

    def _charge(self, principal: Principal, images: int) -> None:
        if principal.images_per_minute is None or not images:
            return
        quota = self._quotas.setdefault(
            principal.name, _Quota(principal.images_per_minute, self._clock())
        )
        quota.spend(images, self._clock())

    def _release(self, ticket: Ticket) -> None:
        self.images -= ticket.images
        self.bytes_held -= ticket.size_bytes
        self._held[ticket.principal.name] -= ticket.images
        if not self._held[ticket.principal.name]:
            del self._held[ticket.principal.name]


class _Quota:
    """A token bucket that holds one minute's worth."""

    def __init__(self, per_minute: int, now: float) -> None:
        self._per_minute = per_minute
        self._tokens = float(per_minute)
        self._since = now

    def spend(self, images: int, now: float) -> None:
        earned = (now - self._since) * self._per_minute / MINUTE_S
        self._tokens = min(float(self._per_minute), self._tokens + earned)
        self._since = now
        if images > self._tokens:
            wait_s = (images - self._tokens) * MINUTE_S / self._per_minute
            raise QuotaExceeded(
                f"This caller may send {self._per_minute} images a minute.",
                retry_after_s=max(1, int(wait_s) + 1),
            )
        self._tokens -= images
