"""Whether maps of real films are hottest where there are neither heart nor lungs.

Vision transformers keep notes in patches without content (Darcet et al. 2024, Vision transformers
need registers). Prints, for each kind of map, on how many films it peaks outside heart and lungs
and in the outermost patches, and what share of it the hottest patch holds.

    python -m benchmarks.hot_patches --data NIH --write
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import pacx
from benchmarks.novelty.__main__ import share
from pacx.interpretation import FilmFacts
from pacx.masks import thorax
from pacx.measures import peaks_in, silhouette_focus
from pacx_training.cohorts.nih import read_nih

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "hot-patches.md"
MARK = "<!-- table -->"
Map = NDArray[np.float32]


def maps(
    model: pacx.Model, path: Path, generator: np.random.Generator
) -> Iterator[tuple[str, Map, NDArray[np.bool_]]]:
    """Maps of one film with the thorax, bool ``[S, S]``; none where heart and lungs are not seen.

    The last one is hottest in a random patch.
    """
    prepared = model.prepare(pacx.read(path))
    outputs = model.run(prepared.pixels[np.newaxis])
    prediction = model.interpret(outputs, prepared.geometry, FilmFacts())
    anatomy = prediction.anatomy
    if anatomy is None or not anatomy.plausible:
        return
    chest = thorax(anatomy.masks)
    likeliest = max(
        (finding for finding in prediction.findings if not finding.measured),
        key=lambda finding: finding.probability,
    )
    for method in ("rollout", "last_layer", "relevance"):
        target = likeliest.label if method == "relevance" else None
        yield method, model.explain_from(outputs, prepared, method, target).grid, chest
    yield "random", generator.random(model.manifest.encoder.grid, np.float32), chest


def in_border(grid: Map) -> bool:
    """Whether the hottest patch is one of the outermost."""
    row, column = np.unravel_index(int(grid.argmax()), grid.shape)
    rows, columns = grid.shape
    return row in (0, rows - 1) or column in (0, columns - 1)


def table(found: dict[str, list[tuple[Map, NDArray[np.bool_]]]]) -> str:
    """A Markdown table with a line for each kind of map."""
    lines = [
        "| map | films | hottest outside heart and lungs | in an outermost patch | share of the "
        "hottest patch, median | focus outside the chest, median |",
        "|---" * 6 + "|",
    ]
    for name, pairs in found.items():
        outside = sum(not peaks_in(grid, chest) for grid, chest in pairs)
        border = sum(in_border(grid) for grid, _ in pairs)
        peak = np.median([grid.max() / grid.sum() for grid, _ in pairs])
        lifts = [silhouette_focus(grid, np.stack([chest] * 3)).outside for grid, chest in pairs]
        lift = np.median([value for value in lifts if value is not None])
        cells = [share(outside, len(pairs)), share(border, len(pairs)), f"{peak:.3f}"]
        lines.append(f"| {name} | {len(pairs)} | {' | '.join(cells)} | {lift:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and put the table into ``docs/results``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="NIH films with labels.csv.")
    parser.add_argument("--bundle", default=None)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    model = pacx.load(options.bundle, engine="onnxruntime", threads=options.threads)
    found = defaultdict(list)
    generator = np.random.default_rng(0)
    for path in read_nih(options.data).split("val").paths[: options.count]:
        for name, grid, chest in maps(model, path, generator):
            found[name].append((grid, chest))
    identity = f"`{model.manifest.name}` {model.manifest.version}:"
    text = f"{identity}\n\n{table(found)}"
    print(text)
    if options.write:
        head = RESULTS.read_text("utf-8").partition(MARK)[0]
        RESULTS.write_text(f"{head}{MARK}\n\n{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
