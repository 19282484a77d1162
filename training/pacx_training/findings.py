"""``pacx train heads``: from an encoder's run and NIH films to a run with heads."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter

from pacx_training.atomic import write_atomically
from pacx_training.cohorts import nih
from pacx_training.embeddings import embed_films
from pacx_training.heads import FindingReport, HeadsRecipe, train_heads
from pacx_training.novelty import fit_novelty, save_novelty
from pacx_training.provenance import extended
from pacx_training.recipes import read_section, save_section
from pacx_training.runs import RunDirectory, default_device

_REPORTS: TypeAdapter[tuple[FindingReport, ...]] = TypeAdapter(tuple[FindingReport, ...])
_LIMITATIONS = (
    "The findings' labels were text-mined from reports; half of the films were selected for "
    "pneumonia, and every other finding occurs among those only, so that findings are validated "
    "within that half.",
    "View (AP or PA) is confounded with the labels.",
    "Trained on adults; not for children.",
)


def train_findings(
    recipe_name: str, encoder: Path, data: Path, output: Path, overrides: tuple[str, ...] = ()
) -> tuple[FindingReport, ...]:
    """Train the heads of a recipe and write a whole run.

    Args:
        recipe_name: A recipe's name or path.
        encoder: Run folder with the frozen encoder; left as it is unless it is ``output``.
        data: Folder of NIH films with ``labels.csv``.
        output: Run folder to write.
        overrides: ``key=value`` on the recipe's section ``heads``.

    Returns:
        How every finding and read-out fared, also written to ``heads-report.json``.

    Raises:
        RecipeError: The recipe is refused.
        CheckpointError: The run folder is invalid.
        CohortError: The films or labels are.
    """
    recipe = read_section(recipe_name, "heads", HeadsRecipe, overrides)
    source, run = RunDirectory(encoder), RunDirectory(output)
    model, cohort = source.load_encoder().to(default_device()), nih.read_nih(data)
    embeddings = embed_films(model, cohort.paths)
    head, reports = train_heads(cohort, embeddings, recipe)
    run.save_encoder(model)
    seen = cohort.splits == "train"
    save_novelty(run, fit_novelty(embeddings[seen], cohort.patients[seen]))
    run.save_heads([head])
    run.save_environment()
    run.save_provenance(
        extended(
            source.load_provenance(),
            f"pacx train heads --recipe {recipe_name}",
            (nih.source(cohort.split("train"), "findings: heads, temperatures and thresholds"),),
            _LIMITATIONS,
        )
    )
    if source.recipe.is_file():
        write_atomically(run.recipe, source.recipe.read_bytes())
    save_section(run.recipe, "heads", recipe)
    content = _REPORTS.dump_json(reports, indent=2)
    write_atomically(output / "heads-report.json", content + b"\n")
    return reports
