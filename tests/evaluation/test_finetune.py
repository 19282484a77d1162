"""Fine-tuning on drawn films: what frozen embeddings miss can be learnt, and only honestly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pacx.bundle import Bundle
from pacx.errors import BenchmarkError, SubjectError
from pacx_evaluation.benchmarks import open_benchmark
from pacx_evaluation.evaluation import prepare
from pacx_evaluation.protocols import Outcome, Study, finetune
from pacx_evaluation.protocols.study import TuningPlan
from pacx_evaluation.statistics.bootstrap import Bootstrap
from pacx_evaluation.subjects import EmbeddingCache, open_subject
from pacx_training.finetuning import FineTuningRecipe
from tests.evaluation.conftest import DrawnFilms
from tests.onnx_pooling import write_pooling

PLAN = TuningPlan(
    learning_rates=(1e-7, 3e-3), seeds=2, recipe=FineTuningRecipe(epochs=6, batch_size=16)
)


def _study(
    manifest: Path, cache: EmbeddingCache, *subjects: str, labels: tuple[str, ...] = ("opacity",)
) -> Study:
    return prepare(
        [open_subject(subject) for subject in subjects],
        open_benchmark(str(manifest), labels=labels),
        cache,
        bootstrap=Bootstrap(replicates=100),
        tuning=PLAN,
    )


@pytest.fixture(scope="module")
def outcome(
    films: DrawnFilms,
    run_folder: Path,
    tiny_bundle: Bundle,
    tmp_path_factory: pytest.TempPathFactory,
) -> Outcome:
    cache = EmbeddingCache(tmp_path_factory.mktemp("cache") / "embeddings.sqlite")
    subjects = (f"run={run_folder}", f"bundle={tiny_bundle.directory}")
    return finetune.run(_study(films.manifest, cache, *subjects, labels=("opacity", "rare")))


def test_encoders_learn_what_the_films_show(outcome: Outcome) -> None:
    rows = {(r.subject, r.target, r.metric): r for r in outcome.section.measurements}
    found = rows["run", "opacity", "auroc"]
    assert found.low is not None
    assert found.low > 0.5
    assert found.positives is not None
    assert found.positives >= 10
    seeds = rows["run", "opacity", "auroc_over_seeds"]
    assert seeds.value == pytest.approx(found.value)
    assert (seeds.low or 1) <= (seeds.value or 0) <= (seeds.high or 0)
    assert rows["run", "rare", "auroc"].reason is not None


def test_the_learning_rate_that_learns_is_chosen_without_the_reported_films(
    outcome: Outcome,
) -> None:
    assert "run: chosen learning rate 0.003." in outcome.section.notes


def test_one_encoder_as_run_and_as_bundle_hardly_differs(outcome: Outcome) -> None:
    (difference,) = outcome.section.comparisons
    assert difference.low <= difference.difference <= difference.high
    assert abs(difference.difference) < 0.1
    assert difference.p_holm == pytest.approx(difference.p_clustered)


def test_the_subject_stays_as_it_was(
    films: DrawnFilms, run_folder: Path, cache: EmbeddingCache
) -> None:
    study = _study(films.manifest, cache, str(run_folder))
    paths = study.benchmark.cohort.paths[:4]
    before = study.entrants[0].encoder.embed(paths)
    finetune.run(study)
    np.testing.assert_array_equal(study.entrants[0].encoder.embed(paths), before)
    assert torch.is_grad_enabled()


def test_what_has_no_weights_in_torch_is_refused_before_anything_is_trained(
    films: DrawnFilms, run_folder: Path, cache: EmbeddingCache, tmp_path: Path
) -> None:
    graph = write_pooling(tmp_path / "pooling.onnx")
    study = _study(films.manifest, cache, str(run_folder), f"pooling={graph}")
    with pytest.raises(SubjectError, match="pooling has no weights"):
        finetune.run(study)


def test_quantities_alone_cannot_be_tuned_for(
    films: DrawnFilms, run_folder: Path, cache: EmbeddingCache
) -> None:
    study = _study(films.manifest, cache, str(run_folder), labels=("volume",))
    with pytest.raises(BenchmarkError, match="no findings"):
        finetune.run(study)
