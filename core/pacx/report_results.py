"""What a report of ``pacx evaluate`` found about one bundle, as a model card tells it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pacx.bundle import Bundle
from pacx.errors import EvaluationError
from pacx.manifest import Sha256
from pacx.numerals import number

RESULTS = "metrics.json"
"""The file of a report that machines read."""
_TASK = {"type": "image-classification"}


class _Reported(BaseModel):
    """What is read of a report; fields that a card does not need are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ReportedNumber(_Reported):
    """One number about one subject; ``value`` is None where the report gives a reason instead."""

    subject: str
    target: str
    metric: str
    condition: str = ""
    value: float | None
    low: float | None = None
    high: float | None = None


class ReportedSubject(_Reported):
    """What was measured: ``sha256`` of a bundle is that of its manifest."""

    name: str
    sha256: Sha256
    engine: str


class ReportedSection(_Reported):
    """What one protocol found."""

    title: str
    lead: str
    measurements: tuple[ReportedNumber, ...]
    notes: tuple[str, ...]


class ReportedResults(_Reported):
    """``metrics.json`` of a report."""

    schema_version: Literal[1]
    benchmark: str
    title: str
    simulated: bool
    credit: str
    subjects: tuple[ReportedSubject, ...]
    sections: tuple[ReportedSection, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleResults:
    """The numbers of one report about one bundle.

    Attributes:
        results: The report.
        subject: The bundle, as the report names it.
        version: Of the bundle that was measured.
    """

    results: ReportedResults
    subject: ReportedSubject
    version: str

    @property
    def heading(self) -> str:
        """Names benchmark and protocols, so that two reports on the same films can both stay."""
        protocols = ", ".join(section.title.lower() for section, _ in self._sections())
        return _plain(f"Measured on {self.results.title}: {protocols}")

    @property
    def text(self) -> str:
        """What stands below the heading, as Markdown."""
        simulated = "Labels come from simulated physiology. " if self.results.simulated else ""
        parts = [
            f"Version {self.version}, sha256 `{self.subject.sha256}`, computed by "
            f"{_plain(self.subject.engine)}. {simulated}Intervals hold 95 % and count patients. "
            f"{_plain(self.results.credit)}".strip()
        ]
        for section, numbers in self._sections():
            parts += [f"### {_plain(section.title)}", _plain(section.lead), _table(numbers)]
            parts += ["\n".join(f"- {_plain(note)}" for note in section.notes)]
        return "\n\n".join(part for part in parts if part)

    @property
    def index_entry(self) -> dict[str, object]:
        """Results on all films as model hubs read them: one entry of ``model-index``'s results."""
        metrics = [
            {
                "type": one.metric,
                "value": round(one.value, 4),
                "name": f"{one.metric} {one.target}",
            }
            for _, numbers in self._sections()
            for one in numbers
            if one.value is not None and not one.condition
        ]
        dataset = {"type": self.results.benchmark, "name": self.results.title}
        return {"task": _TASK, "dataset": dataset, "metrics": metrics}

    def _sections(self) -> Iterator[tuple[ReportedSection, list[ReportedNumber]]]:
        """The protocols that measured this bundle, with its numbers."""
        for section in self.results.sections:
            mine = [one for one in section.measurements if one.subject == self.subject.name]
            if mine:
                yield section, mine


def read_results(folder: Path, bundle: Bundle) -> BundleResults:
    """Find what a report says about a bundle.

    Args:
        folder: That ``pacx evaluate`` wrote.
        bundle: Must be what was measured there, or what a server served that was.

    Raises:
        EvaluationError: There is no report, or it is about other models or versions.
    """
    try:
        results = ReportedResults.model_validate_json((folder / RESULTS).read_bytes())
    except OSError as error:
        raise EvaluationError(
            f"--report: {folder.name} holds no {RESULTS}; give a folder that pacx evaluate wrote."
        ) from error
    except ValidationError as error:
        raise EvaluationError(
            f"--report: {RESULTS} in {folder.name} is none that this version of PaCX writes."
        ) from error
    subjects = [subject for subject in results.subjects if subject.sha256 == bundle.sha256]
    if not subjects:
        raise EvaluationError(
            f"--report: {folder.name} is about other models or versions: none of its subjects has "
            f"this bundle's sha256 {bundle.sha256}. Evaluate this very bundle."
        )
    return BundleResults(results=results, subject=subjects[-1], version=bundle.manifest.version)


def _table(numbers: Sequence[ReportedNumber]) -> str:
    """A row for each target and condition, a column for each metric."""
    metrics = tuple(dict.fromkeys(one.metric for one in numbers if one.value is not None))
    rows: dict[tuple[str, str], dict[str, ReportedNumber]] = {}
    for one in numbers:
        rows.setdefault((one.target, one.condition), {})[one.metric] = one
    known = {
        key: row for key, row in rows.items() if any(one.value is not None for one in row.values())
    }
    head = ["of", *(metric.replace("_", " ") for metric in metrics)]
    lines = [head, ["---"] * len(head)]
    lines += [[_name(*key), *_cells(row, metrics)] for key, row in known.items()]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines) if known else ""
    silent = len(rows) - len(known)
    why = f"No number for {silent} of {len(rows)} rows; the report gives the reasons."
    return "\n\n".join([table] * bool(known) + [why] * bool(silent))


def _name(target: str, condition: str) -> str:
    name = "mean over findings" if target == "macro" else target
    return _plain(f"{name}, {condition}" if condition else name)


def _cells(row: Mapping[str, ReportedNumber], metrics: Sequence[str]) -> Iterator[str]:
    for metric in metrics:
        one = row.get(metric)
        if one is None or one.value is None:
            yield "-"
        elif one.low is None or one.high is None or one.low == one.high:
            yield number(one.value)
        else:
            yield f"{number(one.value)} ({number(one.low)} to {number(one.high)})"


def _plain(text: str) -> str:
    """On one line, and without what would end the cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
