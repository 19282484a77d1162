"""The root of all errors."""

from __future__ import annotations

from typing import ClassVar


class PacxError(Exception):
    """Base of all errors that PaCX raises on purpose.

    Attributes:
        code: Stable, machine-readable name of the problem.
        status: HTTP status that the server answers with.
        title: Short summary that is the same for every occurrence.
        detail: What happened here and what would be accepted; free of patient data.
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str) -> None:
        """Keep ``detail``, the sentence that is shown to the user."""
        super().__init__(detail)
        self.detail = detail

    def __reduce__(self) -> tuple[type[PacxError], tuple[str]]:
        """Survive the way back from a worker process."""
        return type(self), (self.detail,)
