"""The story of a model: where it began and every step since."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from pacx.manifest import Provenance, Source, Teacher
from pacx_training.processes import is_main, wait_for_everyone
from pacx_training.runs import RunDirectory

UNTRAINED = Provenance(initialisation="random", sources=(), steps=())
"""The story of random weights."""


def record(
    run: RunDirectory,
    before: Provenance,
    step: str,
    sources: tuple[Source, ...],
    limitations: tuple[str, ...] = (),
    *,
    teachers: tuple[Teacher, ...] = (),
) -> None:
    """Write the environment and the story of a run after one more step.

    Of several processes one does, and all wait for it.

    Args:
        run: Where to.
        before: The story so far.
        step: The command.
        sources: What it learnt from.
        limitations: What to know of its result.
        teachers: Whose embeddings it learnt.
    """
    if is_main():
        run.save_environment()
        run.save_provenance(extended(before, step, sources, limitations, teachers=teachers))
    wait_for_everyone()


def extended(
    provenance: Provenance,
    step: str,
    sources: tuple[Source, ...],
    limitations: tuple[str, ...] = (),
    *,
    teachers: tuple[Teacher, ...] = (),
) -> Provenance:
    """The same model after one more step; nothing that it was made of is repeated."""
    return provenance.model_copy(
        update={
            "steps": (*provenance.steps, step),
            "sources": tuple(dict.fromkeys((*provenance.sources, *sources))),
            "teachers": tuple(dict.fromkeys((*provenance.teachers, *teachers))),
            "limitations": tuple(dict.fromkeys((*provenance.limitations, *limitations))),
            "revision": revision(),
        }
    )


def revision() -> str | None:
    """The git revision of this code, or None outside a checkout."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return answer.stdout.strip() or None
