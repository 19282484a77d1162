"""A training goes on with the recipe and the inputs that it was begun with, or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from pacx.errors import RecipeError
from pacx_training.atomic import write_atomically
from pacx_training.processes import is_main
from pacx_training.recipes import RecipeSection, load_section, save_section
from pacx_training.runs import RunDirectory

HARMLESS = frozenset(
    f"loop.{name}" for name in ("workers", "checkpoint_minutes", "keep_checkpoints", "log_steps")
)
"""What may differ when a training goes on, because no weight depends on it."""

_OTHER = "This folder holds snapshots of another training: name another folder."


def digest(parts: Iterable[bytes]) -> str:
    """Sixteen hexadecimal digits that change with any of the parts."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()[:16]


def claim(
    run: RunDirectory,
    section: str,
    recipe: RecipeSection,
    inputs: Mapping[str, str],
    *,
    start: RunDirectory | None = None,
) -> None:
    """Write the recipe of a training, and what it learns from, into its run before the first step.

    Of several processes all refuse, and one writes.

    Args:
        run: The folder to train in.
        section: Of the recipe.
        recipe: What the training is told now.
        inputs: Digest of everything that it learns from, by the name a user knows it by.
        start: Run whose other sections are taken over where the training begins.

    Raises:
        RecipeError: The folder holds snapshots of another training, or of one that was told
            something else or learnt from something else; what differs is named.
    """
    if run.begun:
        _refuse_changes(run, section, recipe)
        _refuse_inputs(run, inputs)
    else:
        refuse_used(run)
    if is_main():
        _write(run, section, recipe, inputs, None if run.begun else start)


def refuse_begun(run: RunDirectory) -> None:
    """Refuse to write what was not trained here over what was.

    Raises:
        RecipeError: The folder holds snapshots.
    """
    if run.begun:
        raise RecipeError(_OTHER)


def refuse_used(run: RunDirectory) -> None:
    """Refuse to write an encoder where something was trained on the one that is there.

    Raises:
        RecipeError: The folder holds snapshots, heads, an anatomy decoder or novelty.
    """
    refuse_begun(run)
    for name in ("heads.json", "anatomy.json", "novelty.json"):
        if (run.path / name).is_file():
            raise RecipeError(
                f"{name} in this folder was trained on the encoder that is there: name another "
                "folder."
            )


def _write(
    run: RunDirectory,
    section: str,
    recipe: RecipeSection,
    inputs: Mapping[str, str],
    start: RunDirectory | None,
) -> None:
    if start is not None and start.recipe.is_file():
        write_atomically(run.recipe, start.recipe.read_bytes())
    save_section(run.recipe, section, recipe)
    write_atomically(run.inputs, json.dumps(dict(inputs), indent=2).encode() + b"\n")


def _refuse_inputs(run: RunDirectory, inputs: Mapping[str, str]) -> None:
    # Runs that are older than this file say nothing of their inputs.
    saved = json.loads(run.inputs.read_bytes()) if run.inputs.is_file() else inputs
    changes = [
        name for name in dict.fromkeys((*saved, *inputs)) if saved.get(name) != inputs.get(name)
    ]
    if changes:
        raise RecipeError(
            f"The training in this folder was begun with another {' and another '.join(changes)}. "
            "Name what it was begun with to go on, or name another folder."
        )


def _refuse_changes(run: RunDirectory, section: str, recipe: RecipeSection) -> None:
    saved = load_section(run.recipe, section)
    if saved is None:
        raise RecipeError(_OTHER)
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
