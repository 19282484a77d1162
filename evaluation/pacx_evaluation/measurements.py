"""What an evaluation finds: one tidy row per number, with its interval or the reason for none."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from pacx.manifest import Interval

SCHEMA_VERSION: Literal[1] = 1


class Frozen(BaseModel):
    """Base of all records of a report; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Measurement(Frozen):
    """One number about one subject."""

    subject: str
    protocol: str
    target: str = Field(description="The finding or quantity; 'macro' is the mean over findings.")
    metric: str
    condition: str = Field("", description="Subgroup, share of labels, perturbation, engine, ...")
    value: float | None = Field(description="None where it is not reported.")
    low: float | None = Field(None, description="Lower end of the 95 % interval.")
    high: float | None = Field(None, description="Upper end of the 95 % interval.")
    reason: str | None = Field(None, description="Why there is no value.")
    films: int | None = None
    patients: int | None = None
    positives: int | None = Field(None, description="Positive films.")


def ends(interval: Interval | None) -> dict[str, float | None]:
    """The fields of a measurement that an interval fills; without one all are None."""
    if interval is None:
        return {"value": None, "low": None, "high": None}
    return {"value": interval.value, "low": interval.low, "high": interval.high}


class Comparison(Frozen):
    """Two subjects on the same films."""

    baseline: str
    subject: str
    target: str
    metric: str
    difference: float = Field(description="Subject minus baseline.")
    low: float = Field(description="Lower end of the 95 % interval.")
    high: float = Field(description="Upper end of the 95 % interval.")
    p: float = Field(description="DeLong, films as if independent.")
    p_clustered: float = Field(description="The same with films clustered by patient.")
    p_holm: float = Field(description="p_clustered after Holm's correction over findings.")


class Section(Frozen):
    """What one protocol found."""

    name: str
    title: str
    lead: str = Field(description="What was done, in two or three sentences.")
    measurements: tuple[Measurement, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    notes: tuple[str, ...] = ()
