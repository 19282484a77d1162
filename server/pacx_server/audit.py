"""The audit log: who asked which model what, when, and how it ended; never about whom by name.

JSON lines. A study is named by a keyed pseudonym: HMAC-SHA-256 of the hash of its Study Instance
UID, or of the file where it has none. Whoever holds the key can find the questions about a study
that he knows; nobody else can.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

import structlog
from pydantic import SecretStr

from pacx.errors import SettingsError
from pacx_server.context import RequestContext

log = structlog.get_logger("pacx.audit")


class AuditLog:
    """Appends one line for every request; does nothing without a file.

    Args:
        path: Where to append, None for no audit log.
        key: Keys the pseudonyms; None leaves them out.

    Raises:
        SettingsError: The file cannot be opened.
    """

    def __init__(self, path: Path | None, key: SecretStr | None) -> None:
        self._key = None if key is None else key.get_secret_value().encode()
        self._file = None if path is None else _open(path)
        self._torn = False

    @property
    def wants_pseudonyms(self) -> bool:
        """Whether requests should carry the pseudonym of their study."""
        return self._file is not None and self._key is not None

    def pseudonym(self, study_sha256: str) -> str:
        """Name a study so that only holders of the key can link it to its identifier."""
        return hmac.new(self._key or b"", study_sha256.encode(), hashlib.sha256).hexdigest()

    def write(self, route: str, context: RequestContext, status: int | None) -> None:
        """Append one request; what the disk does not take is logged instead, and nobody waits."""
        if self._file is None:
            return
        entry = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "caller": context.caller,
            "route": route,
            "model": context.model,
            "outcome": context.outcome,
            "status": status,
            "request_id": context.request_id,
            "studies": context.studies,
        }
        try:
            self._append(json.dumps(entry).encode() + b"\n")
        except OSError as error:
            log.error("a line of the audit log is lost", reason=error.strerror, **entry)

    def _append(self, line: bytes) -> None:
        """Write a line whole, on a line of its own also behind one that was cut off."""
        if self._file is None:
            return
        rest = b"\n" + line if self._torn else line
        while rest:
            written = self._file.write(rest) or 0
            self._torn, rest = written < len(rest), rest[written:]

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _open(path: Path) -> FileIO:
    try:
        return path.open("ab", buffering=0)
    except OSError as error:
        raise SettingsError("PACX_AUDIT_LOG names a file that cannot be opened.") from error
