"""The page, the figure and the numbers of a reproduction."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.reproduction.comparison import Results
from benchmarks.reproduction.plan import ReproductionPlan
from pacx.manifest import Interval
from pacx_training.cohorts.simulated.physiology import STATES

_FIGURE = "![Correlation with every latent score](states.png)"


def write_report(results: Results, plan: ReproductionPlan, revision: str, folder: Path) -> None:
    """Write ``README.md``, ``states.png`` and ``results.json``.

    Args:
        results: What was measured.
        plan: What was run.
        revision: Of the code.
        folder: Is made where missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(results.model_dump_json(indent=2) + "\n", "utf-8")
    (folder / "README.md").write_text(_page(results, plan, revision), "utf-8")
    _draw(results, folder / "states.png")


def _page(results: Results, plan: ReproductionPlan, revision: str) -> str:
    few = f"{plan.few_label_share:.0%} of labels"
    lines = [
        "# The paper's claims on simulated patients",
        "",
        "Made by `scripts/reproduce-simulated`: films, electrocardiograms and laboratory values "
        "are drawn by `pacx simulate`; nothing here is a result on real patients.",
        "",
        f"{plan.cohort.visits} visits, seed {plan.cohort.seed}, revision `{revision}`, recipe "
        f"`benchmarks/reproduction/{plan.recipe.name}`. Ridge probes of the "
        f"{len(STATES)} latent scores on frozen embeddings, trained on `train` (all films, or "
        f"{plan.subsets} subsets of {few}), correlation with the truth on `test`; 95 % intervals "
        f"over {plan.replicates} bootstrap samples of test patients. One training per variant: "
        "the intervals do not hold the variation between trainings.",
        "",
        f"| encoder | correlation, all labels | correlation, {few} | heart IoU |",
        "|---|---|---|---|",
    ]
    for name, probes in results.correlation.items():
        cells = (_text(probes["all labels"]), _text(probes["few labels"]))
        lines.append(f"| {name} | {' | '.join(cells)} | {results.heart_iou[name]:.4f} |")
    lines += ["", "| claim | measured | holds |", "|---|---|---|"]
    for claim in results.claims:
        lines.append(f"| {claim.text} | {_text(claim.size)} | {'yes' if claim.holds else 'no'} |")
    lines += ["", *_states(results, few), "", _FIGURE, ""]
    return "\n".join(lines)


def _states(results: Results, few: str) -> list[str]:
    """What the teachers know of every score, and what every encoder learnt from few labels."""
    columns = [*results.by_teacher.items(), *results.by_state_few_labels.items()]
    names = [f"{name} teacher" for name in results.by_teacher]
    names += [f"{name}, {few}" for name in results.by_state_few_labels]
    lines = [f"| correlation with | {' | '.join(names)} |", "|---" * (1 + len(names)) + "|"]
    for state in STATES:
        values = (f"{column[state]:.2f}" for _, column in columns)
        lines.append(f"| {state} | {' | '.join(values)} |")
    return lines


def _text(interval: Interval) -> str:
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def _draw(results: Results, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(9, 6), layout="constrained")
    height = 0.8 / len(results.by_state)
    for row, (name, values) in enumerate(results.by_state.items()):
        places = np.arange(len(STATES)) + (row - (len(results.by_state) - 1) / 2) * height
        axes.barh(places, [values[state] for state in STATES], height, label=name)
    axes.set_yticks(np.arange(len(STATES)), [state.replace("_", " ") for state in STATES])
    axes.invert_yaxis()
    axes.set_xlabel("correlation of the probe with the latent score, test films, all labels")
    axes.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)
