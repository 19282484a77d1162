"""Where the files of one evaluation lie."""

from __future__ import annotations

import os
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from pacx.errors import InsufficientStorage

ARCHIVED = "report"
"""The folder inside the archive of a report."""


@dataclass(frozen=True, slots=True)
class JobFolder:
    """The folder of one evaluation; only the server's user may look into it."""

    path: Path

    @property
    def archive(self) -> Path:
        """What was uploaded, until it is unpacked."""
        return self.path / "upload.archive"

    @property
    def upload(self) -> Path:
        """Films and manifest, until the evaluation has ended."""
        return self.path / "upload"

    @property
    def cache(self) -> Path:
        """Embeddings that are known already, until the evaluation has ended."""
        return self.path / "embeddings.sqlite"

    @property
    def draft(self) -> Path:
        """The report while it is being written."""
        return self.path / "draft"

    @property
    def report(self) -> Path:
        """The report, whole or not there."""
        return self.path / "report"

    @property
    def zip(self) -> Path:
        """The report as one file."""
        return self.path / "report.zip"

    @property
    def log(self) -> Path:
        """What the process wrote that was no progress."""
        return self.path / "log"

    def make(self) -> None:
        """Make it."""
        self.path.mkdir(mode=0o700, parents=True)

    def publish(self) -> None:
        """Let the draft be the report, at once and as a whole."""
        shutil.rmtree(self.report, ignore_errors=True)
        packed = self.draft.with_suffix(".zip")
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(self.draft.rglob("*")):
                archive.write(path, f"{ARCHIVED}/{path.relative_to(self.draft)}")
        packed.replace(self.zip)
        self.draft.replace(self.report)

    def clear(self) -> None:
        """Delete films, embeddings and drafts; the report stays."""
        for folder in (self.upload, self.draft, self.path / "home"):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (self.archive, *self.path.glob(f"{self.cache.name}*")):
            file.unlink(missing_ok=True)

    def delete(self) -> None:
        """Delete everything."""
        shutil.rmtree(self.path, ignore_errors=True)


def default_directory() -> Path:
    """Where evaluations of this user lie (XDG Base Directory Specification, ``XDG_STATE_HOME``).

    Raises:
        InsufficientStorage: The user has no home.
    """
    try:
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise InsufficientStorage(
            "There is no folder for evaluations: PACX_EVALUATION_DIRECTORY names one."
        ) from error
    return Path(base) / "pacx" / "evaluations"
