"""One evaluation from subjects to numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pacx.errors import BenchmarkError, EvaluationError
from pacx_evaluation.benchmarks import Benchmark
from pacx_evaluation.progress import Progress
from pacx_evaluation.protocols import PROTOCOLS, Entrant, Outcome, Study
from pacx_evaluation.protocols.study import DECODER, TUNING, TuningPlan
from pacx_evaluation.statistics.bootstrap import Bootstrap
from pacx_evaluation.subjects import EmbeddingCache, Encoder
from pacx_training.cohorts.outlines import OutlinedFilm
from pacx_training.segmentation import FittingRecipe

ABOUT_LABELS = frozenset({"linear", "few-label", "finetune", "calibration", "subgroups"})


def prepare(
    encoders: Sequence[Encoder],
    benchmark: Benchmark,
    cache: EmbeddingCache,
    *,
    bootstrap: Bootstrap,
    seed: int = 0,
    subsets: int = 5,
    films: int = 200,
    outlined: Sequence[OutlinedFilm] = (),
    overlays: int = 6,
    tuning: TuningPlan = TUNING,
    decoder: FittingRecipe = DECODER,
    progress: Progress = lambda *_: None,
) -> Study:
    """Embed the films of a benchmark with every subject.

    Raises:
        EvaluationError: A film cannot be used or an encoder failed.
        SubjectError: Two subjects have the same name.
    """
    entrants = [_enter(encoder, benchmark, cache, progress) for encoder in encoders]
    return Study(
        benchmark=benchmark,
        entrants=entrants,
        bootstrap=bootstrap,
        seed=seed,
        subsets=subsets,
        films=films,
        outlined=outlined,
        overlays=overlays,
        tuning=tuning,
        decoder=decoder,
    )


def run(
    study: Study, protocols: Sequence[str], progress: Progress = lambda *_: None
) -> list[Outcome]:
    """Run protocols one after the other.

    Raises:
        EvaluationError: There is no such protocol; says which there are.
        BenchmarkError: A protocol asks about labels, and the benchmark has none.
    """
    unknown = [name for name in protocols if name not in PROTOCOLS]
    if unknown:
        raise EvaluationError(f"There is no such protocol. Known ones: {', '.join(PROTOCOLS)}.")
    if not study.benchmark.targets and (asking := ABOUT_LABELS.intersection(protocols)):
        raise BenchmarkError(
            f"{study.benchmark.title} has no labels: --protocol segmentation, not "
            f"{', '.join(sorted(asking))}."
        )
    outcomes = []
    for place, name in enumerate(protocols):
        progress(name, place, len(protocols))
        outcomes.append(PROTOCOLS[name](study))
    return outcomes


def _enter(
    encoder: Encoder, benchmark: Benchmark, cache: EmbeddingCache, progress: Progress
) -> Entrant:
    done, films = 0, len(benchmark.cohort)

    def report(count: int) -> None:
        nonlocal done
        done += count
        progress(f"embedding with {encoder.identity.name}", done, films)

    embeddings = cache.embed(encoder, benchmark.cohort.paths, benchmark.digests, report)
    return Entrant(encoder=encoder, embeddings=np.ascontiguousarray(embeddings))
