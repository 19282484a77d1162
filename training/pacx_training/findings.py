"""``pacx train heads``: from an encoder's run and labelled films to a run with heads."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter

from pacx.errors import RecipeError
from pacx_training.atomic import write_atomically
from pacx_training.cohorts.catalogue import read_cohort, source_of
from pacx_training.cohorts.manifest import Cohort
from pacx_training.embeddings import embeddings_of
from pacx_training.heads import FindingReport
from pacx_training.multitask import Report, train_heads
from pacx_training.novelty import fit_novelty, load_novelty, save_novelty
from pacx_training.provenance import extended
from pacx_training.recipes import read_section, save_section
from pacx_training.runs import RunDirectory, TrainedHead
from pacx_training.tasks import HeadsRecipe

_REPORTS: TypeAdapter[tuple[Report, ...]] = TypeAdapter(tuple[Report, ...])
_NIH_LIMITATIONS = (
    "The findings' labels were text-mined from reports; half of the films were selected for "
    "pneumonia, and every other finding occurs among those only, so that findings are validated "
    "within that half.",
    "View (AP or PA) is confounded with the labels.",
    "Trained on adults; not for children.",
)
_READ_OUTS = "No head answers what embeddings tell of left-out patients besides:"


def train_findings(
    recipe_name: str,
    encoder: Path,
    data: Path,
    output: Path,
    overrides: tuple[str, ...] = (),
    *,
    images: Path | None = None,
    patients: Path | None = None,
    cache: Path | None = None,
) -> tuple[Report, ...]:
    """Train the heads of a recipe and write a whole run.

    Heads that the encoder's run has already are kept, unless one of the same name is trained.

    Args:
        recipe_name: A recipe's name or path.
        encoder: Run folder with the frozen encoder; left as it is unless it is ``output``.
        data: A labelled cohort: a manifest, or the folder of a published data set.
        output: Run folder to write.
        overrides: ``key=value`` on the recipe's section ``heads``.
        images: See :func:`read_cohort`, as for ``patients``.
        patients: Table of admissions and patients.
        cache: Folder of the films' embeddings, which are most of the work; made where missing.

    Returns:
        How every target and read-out fared, also written to ``heads-report.json``.

    Raises:
        RecipeError: The recipe is refused, or a head that is kept has a label of a new one.
        CheckpointError: The run folder is invalid.
        CohortError: The films or labels are.
    """
    recipe = read_section(recipe_name, "heads", HeadsRecipe, overrides)
    source, run = RunDirectory(encoder), RunDirectory(output)
    model = source.load_encoder()
    cohort, terms = read_cohort(data, images=images, patients=patients)
    kept = _kept(source, recipe)
    embeddings = embeddings_of(source, cohort.paths, cache)
    heads, reports = train_heads(cohort, embeddings, recipe, simulated=terms.simulated)
    seen = cohort.splits == "train"
    known = load_novelty(source) if kept else None
    novelty = known or fit_novelty(embeddings[seen], cohort.patients[seen])
    run.save_encoder(model)
    save_novelty(run, novelty)
    run.save_heads(sorted((*kept, *heads), key=lambda head: head.spec.task == "regression"))
    run.save_environment()
    used = source_of(cohort.split("train"), terms, "heads: weights, temperatures and thresholds")
    step = f"pacx train heads --recipe {Path(recipe_name).name}"
    limits = (*_limitations(cohort, recipe, reports), *terms.limitations)
    story = extended(source.load_provenance(), step, (used,), limits)
    run.save_provenance(story)
    _save_recipe(source, run, recipe)
    content = _REPORTS.dump_json(reports, indent=2)
    write_atomically(output / "heads-report.json", content + b"\n")
    return reports


def _kept(source: RunDirectory, recipe: HeadsRecipe) -> list[TrainedHead]:
    names = {task.name for task in recipe.all_tasks}
    labels = {target.label for task in recipe.all_tasks for target in task.targets}
    kept = [head for head in source.load_heads() if head.spec.name not in names]
    for head in kept:
        answers = [*(f.label for f in head.spec.findings), *(v.label for v in head.spec.values)]
        doubled = labels.intersection(answers)
        if doubled:
            raise RecipeError(
                f"The run's head {head.spec.name} answers {', '.join(sorted(doubled))} already: "
                "give the new head its name to replace it, or start from a run without it."
            )
    return kept


def _limitations(
    cohort: Cohort, recipe: HeadsRecipe, reports: tuple[Report, ...]
) -> tuple[str, ...]:
    known = _NIH_LIMITATIONS if cohort.name == "nih" else ()
    told = [
        f"{report.label} (AUROC {report.held_out.value:.3f})"
        for report in reports
        if report.label in recipe.read_outs and isinstance(report, FindingReport)
        if report.held_out is not None
    ]
    return (*known, f"{_READ_OUTS} {', '.join(told)}.") if told else known


def _save_recipe(source: RunDirectory, run: RunDirectory, recipe: HeadsRecipe) -> None:
    if source.recipe.is_file():
        write_atomically(run.recipe, source.recipe.read_bytes())
    save_section(run.recipe, "heads", recipe)
