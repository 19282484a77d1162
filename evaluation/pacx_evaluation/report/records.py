"""What machines read of a report: ``metrics.json``, ``data.json``, ``environment.json``."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from itertools import combinations
from typing import Literal

import numpy as np

from pacx_evaluation.benchmarks import Benchmark, Exclusion
from pacx_evaluation.benchmarks.benchmark import Metric
from pacx_evaluation.measurements import SCHEMA_VERSION, Frozen, Section
from pacx_evaluation.protocols.study import Study
from pacx_evaluation.subjects import Identity
from pacx_training.provenance import revision

_PACKAGES = (
    "pacx", "numpy", "scipy", "scikit-learn", "pandas", "pyarrow", "matplotlib", "torch",
    "onnxruntime", "openvino", "pillow", "pydicom",
)  # fmt: skip


class Figure(Frozen):
    """One figure: ``figures/<name>.svg``, drawn from ``figures/<name>.csv``."""

    name: str
    section: str
    caption: str


class Settings(Frozen):
    """What an evaluation was asked to do."""

    replicates: int
    level: float
    seed: int
    subsets: int


class Report(Frozen):
    """``metrics.json``: all numbers of a report."""

    schema_version: Literal[1] = SCHEMA_VERSION
    benchmark: str
    title: str
    primary_metric: Metric
    simulated: bool
    credit: str
    films_sha256: str
    settings: Settings
    subjects: tuple[Identity, ...]
    sections: tuple[Section, ...]
    figures: tuple[Figure, ...]


class TargetCount(Frozen):
    """How often a target occurs in a split, among the films that it is asked about."""

    films: int
    positives: int | None = None
    prevalence: float | None = None


class SplitFacts(Frozen):
    """One split; the hash is that of its films' hashes in order."""

    films: int
    patients: int
    sha256: str
    targets: dict[str, TargetCount]


class Disjointness(Frozen):
    """What two splits share: nothing, or the evaluation would have been refused."""

    splits: tuple[str, str]
    shared_patients: int
    shared_films: int


class DataFacts(Frozen):
    """``data.json``: which films, which labels, and that no patient is on both sides."""

    films: int
    patients: int
    films_sha256: str
    splits: dict[str, SplitFacts]
    disjointness: tuple[Disjointness, ...]
    exclusions: tuple[Exclusion, ...]
    warnings: tuple[str, ...] = ()
    attributes: dict[str, dict[str, int]]


class EnvironmentFacts(Frozen):
    """``environment.json``: what computed the numbers, without paths or host names."""

    revision: str | None
    python: str
    system: str
    packages: dict[str, str]
    seed: int
    subjects: dict[str, str]


def data_facts(benchmark: Benchmark) -> DataFacts:
    """Describe the films of a benchmark."""
    cohort = benchmark.cohort
    names = [name for name in ("train", "val", "test") if name in set(cohort.splits.tolist())]
    return DataFacts(
        films=len(cohort),
        patients=len(set(cohort.patients.tolist())),
        films_sha256=benchmark.sha256,
        splits={name: _split_facts(benchmark, name) for name in names},
        disjointness=tuple(_disjointness(benchmark, a, b) for a, b in combinations(names, 2)),
        exclusions=benchmark.exclusions,
        warnings=benchmark.warnings,
        attributes={
            name: {str(v): int((values == v).sum()) for v in np.unique(values)}
            for name, values in benchmark.attributes.items()
        },
    )


def environment_facts(study: Study) -> EnvironmentFacts:
    """Describe this process and the subjects' weights."""
    packages = {name: found for name in _PACKAGES if (found := _version(name))}
    return EnvironmentFacts(
        revision=revision(),
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        packages=packages,
        seed=study.seed,
        subjects={e.name: e.encoder.identity.sha256 for e in study.entrants},
    )


def _split_facts(benchmark: Benchmark, name: str) -> SplitFacts:
    inside = benchmark.cohort.splits == name
    digests = [d for d, mine in zip(benchmark.digests, inside.tolist(), strict=True) if mine]
    counts = {}
    for target in benchmark.targets:
        values = benchmark.values(target)[inside & benchmark.usable(target)]
        is_finding = target in benchmark.findings
        counts[target.name] = TargetCount(
            films=len(values),
            positives=int(values.sum()) if is_finding else None,
            prevalence=float(values.mean()) if is_finding and len(values) else None,
        )
    return SplitFacts(
        films=int(inside.sum()),
        patients=len(set(benchmark.cohort.patients[inside].tolist())),
        sha256=hashlib.sha256("\n".join(digests).encode()).hexdigest(),
        targets=counts,
    )


def _disjointness(benchmark: Benchmark, first: str, second: str) -> Disjointness:
    splits, digests = benchmark.cohort.splits, np.array(benchmark.digests)
    shared = [
        len(np.intersect1d(column[splits == first], column[splits == second]))
        for column in (benchmark.cohort.patients, digests)
    ]
    return Disjointness(splits=(first, second), shared_patients=shared[0], shared_films=shared[1])


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
