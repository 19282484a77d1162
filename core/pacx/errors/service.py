"""The server as it is, not the input, stands in the way."""

from __future__ import annotations

import errno

from pacx.errors.base import PacxError


class ServiceError(PacxError):
    """The server cannot take this request now, or not from this caller.

    Attributes:
        retry_after_s: Whole seconds after which another attempt makes sense, where one does.
    """

    code = "service_error"
    status = 503
    title = "The service is not available"

    def __init__(self, detail: str, *, retry_after_s: int | None = None) -> None:
        """Keep ``detail`` and when to come back."""
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Unauthenticated(ServiceError):
    """No key or token was sent, or it is not valid."""

    code = "unauthenticated"
    status = 401
    title = "Not authenticated"


class Forbidden(ServiceError):
    """The key or token is valid but lacks the scope."""

    code = "forbidden"
    status = 403
    title = "Forbidden"


class BodyTimeout(ServiceError):
    """The request's body came too slowly."""

    code = "body_timeout"
    status = 408
    title = "The request's body came too slowly"


class HeaderTimeout(ServiceError):
    """The request's head came too slowly."""

    code = "header_timeout"
    status = 408
    title = "The request's head came too slowly"


class ReloadRefused(ServiceError):
    """The new version of a model cannot be served; the one before goes on."""

    code = "reload_refused"
    status = 409
    title = "The new version is refused"


class NoReport(ServiceError):
    """The evaluation has not ended, or ended without a report."""

    code = "no_report"
    status = 409
    title = "There is no report"


class QuotaExceeded(ServiceError):
    """The caller is over its own quota."""

    code = "quota_exceeded"
    status = 429
    title = "Quota exceeded"


class QueueFull(ServiceError):
    """A bound on waiting requests or their bytes is reached."""

    code = "queue_full"
    title = "The server is busy"


class NotReady(ServiceError):
    """The server is starting, draining or recovering."""

    code = "not_ready"
    title = "The server is not ready"


class DeadlineExceeded(ServiceError):
    """The request was not answered before its deadline."""

    code = "deadline_exceeded"
    status = 504
    title = "The deadline has passed"


class InsufficientStorage(ServiceError):
    """The disk is full where evaluations are kept."""

    code = "insufficient_storage"
    status = 507
    title = "There is no room on the disk"


class SettingsError(PacxError):
    """The server's settings are inconsistent or unsafe, so it does not start."""

    code = "settings_invalid"
    title = "The settings are invalid"


def is_full(error: OSError) -> bool:
    """Whether an error of the system says that there is no room."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
