"""How long a film takes, from file to embedding."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from pacx.reading import read
from pacx_evaluation.measurements import Measurement, Section
from pacx_evaluation.protocols.concurrency import asked_at_once, mean_over_rounds
from pacx_evaluation.protocols.sampling import reported_films
from pacx_evaluation.protocols.study import Entrant, Outcome, Study

NAME = "speed"
BATCHES = (1, 4, 16)
TIMED_FILMS = 64
CALLERS = (1, 2, 4, 8)
CALLED_FILMS, ROUNDS = 32, 5
"""Of every number of callers, each round with all these films."""
DECODING, EMBEDDING = "reading a file", "file to embedding, one at a time"
_LEAD = (
    "{films} films, one after the other in this process, after one untimed batch. Reading is the "
    "same for every encoder. Times describe this machine as busy as it was; compare within a "
    "report, not between reports."
)
_SERVERS = (
    "Servers are also asked by several callers at once, each with one film in a request and the "
    "next when it is answered: {films} films in each of {rounds} rounds; intervals of films per "
    "second are over rounds (Student's t)."
)


def run(study: Study) -> Outcome:
    """Time every subject."""
    rows = reported_films(study)[:TIMED_FILMS].tolist()
    paths = [study.benchmark.cohort.paths[row] for row in rows]
    measured = [row for entrant in study.entrants for row in _measure(entrant, paths)]
    section = Section(
        name=NAME,
        title="Speed",
        lead=_LEAD.format(films=len(paths)),
        measurements=tuple(measured),
        notes=tuple(_notes(study, paths)),
    )
    return Outcome(section=section)


def _notes(study: Study, paths: Sequence[Path]) -> Iterator[str]:
    if any(map(_is_server, study.entrants)):
        yield _SERVERS.format(films=len(paths[:CALLED_FILMS]), rounds=ROUNDS)


def _is_server(entrant: Entrant) -> bool:
    return entrant.encoder.identity.kind == "server"


def _measure(entrant: Entrant, paths: Sequence[Path]) -> Iterator[Measurement]:
    entrant.encoder.embed(paths[: max(BATCHES)])
    yield from _percentiles(entrant.name, DECODING, [_seconds(read, path) for path in paths])
    alone = [_seconds(entrant.encoder.embed, [path]) for path in paths]
    yield from _percentiles(entrant.name, EMBEDDING, alone)
    for size in BATCHES:
        batches = [paths[start : start + size] for start in range(0, len(paths), size)]
        seconds = sum(_seconds(entrant.encoder.embed, batch) for batch in batches)
        yield _row(entrant.name, "films_per_second", f"batches of {size}", len(paths) / seconds)
    if _is_server(entrant):
        yield from _under_load(entrant, paths[:CALLED_FILMS])
    yield _row(entrant.name, "resident_mb", "so far, in this process", _resident_mb())


def _under_load(entrant: Entrant, paths: Sequence[Path]) -> Iterator[Measurement]:
    for callers in CALLERS:
        condition = "1 caller" if callers == 1 else f"{callers} callers at once"
        load = asked_at_once(entrant.encoder, paths, callers=callers, rounds=ROUNDS)
        yield from _percentiles(entrant.name, condition, load.seconds)
        rate = mean_over_rounds(load.films_per_second)
        row = _row(entrant.name, "films_per_second", condition, rate.value, len(load.seconds))
        yield row.model_copy(update={"low": rate.low, "high": rate.high})


def _percentiles(subject: str, condition: str, seconds: Sequence[float]) -> Iterator[Measurement]:
    for share in (50, 95, 99):
        value = float(np.percentile(seconds, share)) * 1000
        yield _row(subject, f"p{share}_ms", condition, value, len(seconds))


def _row(
    subject: str, metric: str, condition: str, value: float, films: int | None = None
) -> Measurement:
    return Measurement(
        subject=subject,
        protocol=NAME,
        target="time" if metric.endswith("_ms") else "throughput",
        metric=metric,
        condition=condition,
        value=value,
        films=films,
    )


def _seconds(call: Callable[..., object], *arguments: object) -> float:
    start = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - start


def _resident_mb() -> float:
    """Largest resident set so far; getrusage counts in KiB on Linux and in bytes on macOS."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
