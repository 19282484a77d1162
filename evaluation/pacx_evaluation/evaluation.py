"""One evaluation from subjects to numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pacx_evaluation.benchmarks import Benchmark
from pacx_evaluation.benchmarks.shared_pictures import with_patients_joined
from pacx_evaluation.progress import Progress
from pacx_evaluation.protocols import PROTOCOLS, Entrant, Outcome, Study
from pacx_evaluation.protocols.requirements import check_names, check_requirements
from pacx_evaluation.protocols.study import DECODER, TUNING, TuningPlan
from pacx_evaluation.statistics.bootstrap import Bootstrap
from pacx_evaluation.subjects import EmbeddingCache, Encoder
from pacx_training.cohorts.outlines import OutlinedFilm
from pacx_training.segmentation import FittingRecipe


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
        BenchmarkError: Two splits share a picture.
        SubjectError: Two subjects have the same name.
    """
    check_names(encoders)
    benchmark = with_patients_joined(benchmark)
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
        SubjectError: A protocol needs something that the subjects have not.
        BenchmarkError: The same of the benchmark.
    """
    check_requirements(protocols, study.encoders, study.benchmark, study.outlined)
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
