"""A training goes on with the recipe that it was begun with, or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from pacx.errors import RecipeError
from pacx_training.atomic import write_atomically
from pacx_training.recipes import RecipeSection, load_section, save_section
from pacx_training.runs import RunDirectory

HARMLESS = frozenset(
    f"loop.{name}" for name in ("workers", "checkpoint_minutes", "keep_checkpoints", "log_steps")
)
"""What may differ when a training goes on, because no weight depends on it."""


def claim(
    run: RunDirectory, section: str, recipe: RecipeSection, *, start: RunDirectory | None = None
) -> None:
    """Write the recipe of a training into its run before the first step.

    Args:
        run: The folder to train in.
        section: Of the recipe.
        recipe: What the training is told now.
        start: Run whose other sections are taken over where the training begins.

    Raises:
        RecipeError: The folder holds snapshots of a training that was told something else; the
            first fields that differ are named, with what they were.
    """
    if any(run.checkpoints.glob("step-*")):
        _refuse_changes(run, section, recipe)
    elif start is not None and start.recipe.is_file():
        write_atomically(run.recipe, start.recipe.read_bytes())
    save_section(run.recipe, section, recipe)


def _refuse_changes(run: RunDirectory, section: str, recipe: RecipeSection) -> None:
    saved = load_section(run.recipe, section)
    if saved is None:
        return
    try:
        # Fields that are younger than the run have their defaults.
        before = type(recipe).model_validate(saved).model_dump(mode="json")
    except ValidationError:
        before = dict(saved)
    changes = [
        f"{field} was {was} and is {now}"
        for field, was, now in _differences(before, recipe.model_dump(mode="json"))
        if field not in HARMLESS
    ]
    if changes:
        raise RecipeError(
            f"The training in this folder was begun with another recipe: {'; '.join(changes)}. "
            "Set it back to go on, or name another folder."
        )


def _differences(
    before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    for name in dict.fromkeys((*before, *after)):
        was, now = before.get(name), after.get(name)
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            yield from _differences(was, now, f"{prefix}{name}.")
        elif was != now:
            yield f"{prefix}{name}", was, now
