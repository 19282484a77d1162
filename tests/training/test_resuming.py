"""A training goes on with its own recipe only."""

from __future__ import annotations

from pathlib import Path

import pytest

from pacx.errors import RecipeError
from pacx_training.distillation import DistillationRecipe
from pacx_training.recipes import load_section, read_section
from pacx_training.resuming import claim
from pacx_training.runs import RunDirectory

INPUTS = {"encoder": "1", "cohort": "2"}


def _recipe(*overrides: str) -> DistillationRecipe:
    return read_section("smoke", "distill", DistillationRecipe, overrides)


@pytest.fixture
def begun(tmp_path: Path) -> RunDirectory:
    """A run with a snapshot."""
    run = RunDirectory(tmp_path / "run")
    claim(run, "distill", _recipe(), INPUTS)
    run.checkpoints.mkdir()
    (run.checkpoints / "step-00000001.0.safetensors").touch()
    return run


def test_what_changed_and_what_it_was_is_said(begun: RunDirectory) -> None:
    changed = _recipe("loop.learning_rate=0.5", "objective.temperature=0.1", "labs=false")
    with pytest.raises(RecipeError) as refused:
        claim(begun, "distill", changed, INPUTS)
    for text in (
        "loop.learning_rate was 0.001 and is 0.5",
        "objective.temperature was 0.07 and is 0.1",
        "labs was True and is False",
    ):
        assert text in str(refused.value)
    assert load_section(begun.recipe, "distill") == _recipe().model_dump(mode="json")


def test_a_layer_that_was_left_out_is_a_change(begun: RunDirectory) -> None:
    changed = _recipe("tuning.lora=null", "tuning.last_blocks=2")
    with pytest.raises(RecipeError, match=r"tuning\.last_blocks was None and is 2"):
        claim(begun, "distill", changed, INPUTS)


@pytest.mark.parametrize(
    "override", ["loop.workers=3", "loop.checkpoint_minutes=0", "loop.log_steps=7"]
)
def test_what_no_weight_depends_on_may_change(begun: RunDirectory, override: str) -> None:
    claim(begun, "distill", _recipe(override), INPUTS)
    assert load_section(begun.recipe, "distill") == _recipe(override).model_dump(mode="json")


def test_before_the_first_snapshot_everything_may_change(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    claim(run, "distill", _recipe(), INPUTS)
    claim(run, "distill", _recipe("loop.epochs=9"), INPUTS)


def test_other_sections_come_from_the_start(begun: RunDirectory, tmp_path: Path) -> None:
    begun.recipe.write_text("mae: {mask_ratio: 0.9}\n")
    run = RunDirectory(tmp_path / "next")
    claim(run, "distill", _recipe(), INPUTS, start=begun)
    assert load_section(run.recipe, "mae") == {"mask_ratio": 0.9}
    assert load_section(run.recipe, "distill") is not None


def test_another_encoder_is_refused_and_nothing_is_written(begun: RunDirectory) -> None:
    with pytest.raises(RecipeError, match="another encoder"):
        claim(begun, "distill", _recipe("loop.workers=3"), INPUTS | {"encoder": "3"})
    assert load_section(begun.recipe, "distill") == _recipe().model_dump(mode="json")


def test_a_teacher_that_was_not_there_is_refused(begun: RunDirectory) -> None:
    with pytest.raises(RecipeError, match="another ecg teacher"):
        claim(begun, "distill", _recipe(), INPUTS | {"ecg teacher": "4"})


def test_a_folder_of_another_training_is_refused_and_stays_as_it_is(begun: RunDirectory) -> None:
    before = begun.recipe.read_bytes()
    with pytest.raises(RecipeError, match="another training"):
        claim(begun, "mae", _recipe(), INPUTS)
    assert begun.recipe.read_bytes() == before
