"""Evaluations as a server tells of them, and folders as it takes them."""

from __future__ import annotations

import os
import tempfile
import zipfile
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias, cast

from pacx_client._uploads import Uploadable

EvaluationProtocol: TypeAlias = Literal[
    "linear", "few-label", "calibration", "subgroups", "robustness", "speed"
]
LINEAR: tuple[EvaluationProtocol, ...] = ("linear",)
ENDED = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class OnServer:
    """Films that lie on the server already, below the folder that its operator allows.

    Attributes:
        path: Of their table, from that folder on.
    """

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationProgress:
    """How far an evaluation is.

    Attributes:
        doing: What is being done now.
        done: How much of it is done.
        total: How much of it there is.
    """

    doing: str
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationFailure:
    """Why there is no report.

    Attributes:
        code: Stable, machine-readable name of the problem.
        detail: What is wrong, and where: a row or a column, never a value.
    """

    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One evaluation.

    Attributes:
        id: The server's name for it.
        state: ``queued``, ``running``, ``succeeded``, ``failed`` or ``cancelled``.
        owner: Name of the caller who asked for it.
        created_at: When it was asked for (RFC 3339).
        started_at: When it was started last, None if never.
        ended_at: When it ended, None if it has not.
        attempts: How often it was started.
        progress: How far it is, None before the first word of it.
        failure: Why there is no report, None where nothing went wrong.
    """

    id: str
    state: str
    owner: str = ""
    created_at: str = ""
    started_at: str | None = None
    ended_at: str | None = None
    attempts: int = 0
    progress: EvaluationProgress | None = None
    failure: EvaluationFailure | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing about it will change any more."""
        return self.state in ENDED


def silent(evaluation: Evaluation) -> None:
    """Take no notice."""


def packed(films: Uploadable | OnServer) -> AbstractContextManager[Uploadable | OnServer]:
    """A folder as a zip in a temporary file, gone when the block ends; all else as it is.

    Files are stored as they are, because films hardly shrink.
    """
    if not isinstance(films, str | os.PathLike) or not Path(films).is_dir():
        return nullcontext(films)
    with ExitStack() as stack:
        archive = cast(BinaryIO, stack.enter_context(tempfile.TemporaryFile()))
        # A zip knows no date before 1980; those that are older get that.
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED, strict_timestamps=False) as target:
            for path in sorted(Path(films).rglob("*")):
                if path.is_file():
                    target.write(path, path.relative_to(films))
        stack.pop_all()
    return archive
