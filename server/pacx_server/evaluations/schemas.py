"""What callers see of evaluations."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from pacx_server.evaluations.job import Failure, Job, Options, Progress, State
from pacx_server.schemas import Schema


class Evaluation(Schema):
    """One evaluation; it names no film and no file."""

    id: str
    owner: str = Field(description="Name of the caller who asked for it.")
    state: State
    uploaded: bool = Field(description="Whether its films were uploaded, or lie on the server.")
    options: Options
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    attempts: int = Field(description="How often its process was started.")
    progress: Progress | None
    failure: Failure | None = Field(description="Why there is no report.")

    @classmethod
    def of(cls, job: Job) -> Evaluation:
        """What is told of a job."""
        return cls(
            id=job.id,
            owner=job.owner,
            state=job.state,
            uploaded=job.source.uploaded,
            options=job.options,
            created_at=_moment(job.created),
            started_at=None if job.started is None else _moment(job.started),
            ended_at=None if job.ended is None else _moment(job.ended),
            attempts=job.attempts,
            progress=job.progress,
            failure=job.failure,
        )


class ServerPath(BaseModel):
    """A manifest that lies on the server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Annotated[str, StringConstraints(min_length=1, max_length=4096)] = Field(
        description="Below the folder that the server allows."
    )


class ReportLink(Schema):
    """An address at which a browser finds a report without a key, for some minutes."""

    url: str = Field(description="Relative to the server's address.")
    expires_at: datetime


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
