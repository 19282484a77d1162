"""How much a process of an evaluation gives way, and whether others leave it nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias, get_args

Urgency: TypeAlias = Literal["idle", "low"]
"""``idle`` takes what nobody else wants, ``low`` a small share of processors that all want."""
URGENCIES: tuple[Urgency, ...] = get_args(Urgency)

PATIENCE_S = 20.0
LEAST_SHARE = 0.05
"""Beside one busy process Linux grants 0.003 of a processor to ``idle``, 0.1 to ``low``."""
_NANOSECONDS = 1e9


class Starvation:
    """Watches how long a process waits for a processor (Linux alone tells).

    Args:
        process: Its number; of its threads the main one counts.
        patience_s: How long it may have waited before anybody judges.
    """

    def __init__(self, process: int, patience_s: float = PATIENCE_S) -> None:
        self._file = Path("/proc") / str(process) / "schedstat"
        self._patience_s = patience_s
        self._ran_s = self._waited_s = 0.0

    def is_there(self) -> bool:
        """Whether it waited in vain, since the start or since it was last seen to get enough."""
        try:
            ran, waited, _ = (int(word) / _NANOSECONDS for word in self._file.read_text().split())
        except (OSError, ValueError):  # it has ended, or this system does not tell
            return False
        if waited - self._waited_s < self._patience_s:
            return False
        if ran - self._ran_s < LEAST_SHARE * (waited - self._waited_s):
            return True
        self._ran_s, self._waited_s = ran, waited
        return False
