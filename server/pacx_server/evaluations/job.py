"""One evaluation, as the store keeps it and as callers see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
Protocol = Literal["linear", "few-label", "calibration", "subgroups", "robustness", "speed"]
Label = Annotated[str, StringConstraints(min_length=1, max_length=128)]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
ENDED: tuple[State, ...] = ("succeeded", "failed", "cancelled")


class Options(BaseModel):
    """What is asked of an evaluation, as ``pacx evaluate`` takes it."""

    model_config = ConfigDict(frozen=True)

    protocols: tuple[Protocol, ...] = ("linear",)
    labels: tuple[Label, ...] = ()
    replicates: int = 2000
    subsets: int = 5
    films: int = 200
    seed: int = 0


class Source(BaseModel):
    """Where the films lie.

    Attributes:
        manifest: Path of the table: below the job's upload, or below the allowed root.
        uploaded: Whether they were uploaded, and go when the evaluation has ended.
    """

    model_config = ConfigDict(frozen=True)

    manifest: str
    uploaded: bool


class Progress(BaseModel):
    """How far it is."""

    model_config = ConfigDict(frozen=True)

    doing: str = Field(description="What is being done now.")
    done: int = Field(description="How much of it is done.")
    total: int = Field(description="How much of it there is.")


class Failure(BaseModel):
    """Why there is no report."""

    model_config = ConfigDict(frozen=True)

    code: str = Field(description="Stable, machine-readable name of the problem.")
    detail: str = Field(description="What is wrong, and where: a row or a column, never a value.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One evaluation; times are seconds since the epoch.

    Attributes:
        id: 32 hexadecimal digits.
        owner: Name of the caller who asked for it.
        state: How it stands.
        options: What was asked.
        source: Where the films lie.
        created: When it was asked for.
        started: When its process was started last, None if never.
        ended: When it ended, None if it has not.
        attempts: How often its process was started.
        progress: How far it is, None before the first word of it.
        failure: Why it failed, None where it did not.
    """

    id: str
    owner: str
    state: State
    options: Options
    source: Source
    created: float
    started: float | None
    ended: float | None
    attempts: int
    progress: Progress | None
    failure: Failure | None
