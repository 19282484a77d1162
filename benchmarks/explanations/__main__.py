"""Whether the maps of a model show what it used, on real films.

For every film and its most probable finding: deletion and insertion against random order,
infidelity, sensitivity, the likeness to the map of a model with random weights, focus and the
pointing game; beside the methods the same for random weights, a centred Gaussian and a uniform map.

    python -m benchmarks.explanations --data NIH --outlines outlines.json --write

Focus and pointing go by outlines that were drawn, where there are some; those films come first.
A run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch

import pacx
from benchmarks.explanations.maps import case, untrained
from benchmarks.explanations.measures import MEASURES, measured
from benchmarks.explanations.report import (
    DRAWN,
    FOUND,
    draw,
    frame,
    latest,
    masks_in,
    masks_used,
    table,
    verdicts,
)
from pacx_training.cohorts.nih import read_nih
from pacx_training.cohorts.outlines import read_outlines

RESULTS = Path(__file__).parents[2] / "docs" / "results"
MARK = "<!-- results -->"


def films(data: Path, count: int, drawn: Collection[str] = ()) -> list[Path]:
    """One film of each of some adults whom no head was fitted on, drawn at random.

    Args:
        data: Folder of the films.
        count: How many.
        drawn: Names of films with outlines, which are chosen before all others.
    """
    cohort = read_nih(data).split("val")
    outlined = np.array([path.name in drawn for path in cohort.paths])
    order = np.argsort(~outlined, kind="stable")
    _, first = np.unique(cohort.patients[order], return_index=True)
    chosen = np.random.default_rng(0).permutation(order[first])
    chosen = chosen[np.argsort(~outlined[chosen], kind="stable")][:count]
    return [cohort.paths[row] for row in chosen]


def main() -> None:
    """Measure films that are not in the log yet, then print or write table, verdicts and figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="NIH films with labels.csv.")
    parser.add_argument("--outlines", type=Path, help="JSON of outlines on films in --data.")
    parser.add_argument("--bundle", default=None)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=600, help="Start no film after this.")
    parser.add_argument("--log", type=Path, default=Path("runs/explanations.jsonl"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="Write docs/results.")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = pacx.load(options.bundle, engine="onnxruntime", threads=options.threads)
    random = untrained(model)
    options.log.parent.mkdir(parents=True, exist_ok=True)
    known = options.log.read_text().splitlines() if options.log.is_file() else []
    done = {(line["film"], line["model"], masks_in(line)) for line in map(json.loads, known)}
    end = time.monotonic() + 60 * options.minutes
    outlined = read_outlines(options.outlines, options.data) if options.outlines else ()
    drawn = {film.image: film for film in outlined}
    for path in films(options.data, options.count, drawn):
        masks = DRAWN if path.name in drawn else FOUND
        if (path.name, model.sha256, masks) in done or time.monotonic() > end:
            continue
        rows = list(measured(case(model, random, path, drawn.get(path.name))))
        line = {"film": path.name, "model": model.sha256, "masks": masks, "rows": rows}
        with options.log.open("a") as stream:
            stream.write(json.dumps(line) + "\n")
    report(options.log, model, write=options.write)


def report(log: Path, model: pacx.Model, *, write: bool) -> None:
    """Print what a log says of a model, or write it into ``docs/results``."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    of_model = latest([line for line in lines if line["model"] == model.sha256])
    rows = frame(of_model)
    identity = (
        f"`{model.manifest.name}` {model.manifest.version}, {rows['film'].nunique()} films. "
        f"{masks_used(of_model)}"
    )
    meanings = "\n".join(f"- **{name}**: {meaning}" for name, meaning in MEASURES.items())
    text = "\n\n".join([identity, verdicts(rows), table(rows), meanings])
    print(text)
    if write:
        page = RESULTS / "explanations.md"
        head = page.read_text("utf-8").partition(MARK)[0]
        page.write_text(f"{head}{MARK}\n\n{text}\n", encoding="utf-8")
        draw(rows, RESULTS / "explanations.png")


if __name__ == "__main__":
    main()
