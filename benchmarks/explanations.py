"""Whether the maps of the bundled model show what it used, on real films.

For every film and its most probable finding: deletion and insertion against random order,
infidelity, and the likeness to the map of a model with random weights. Run
``python -m benchmarks.explanations --data NIH --write``; a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

import pacx
from pacx.explanations import (
    Map,
    Question,
    gradient_shap,
    integrated_gradients,
    occlusion,
    relevance,
)
from pacx.findings import target_index
from pacx.preprocessing import normalise
from pacx_evaluation.faithfulness import deletion_gain, infidelity_of, insertion_gain
from pacx_export.graphs import Classifier
from pacx_export.torch_engine import TorchEngine
from pacx_training.bundle_weights import encoder_config
from pacx_training.cohorts.nih import read_nih
from pacx_training.encoder import VisionTransformer

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "explanations.md"
REPLICATES = 2000
Method = Callable[[Question], Map]


def attention(output: str) -> Method:
    """A map that the ``predict`` graph returns itself."""

    def read(question: Question) -> Map:
        pixels = normalise(question.pixels[np.newaxis], question.spec)
        grid: Map = question.engine.run("predict", {"pixel_values": pixels})[output][0]
        return grid

    return read


def centre(question: Question) -> Map:
    """A map that knows only the middle of the picture."""
    down, across = (((np.arange(n) + 0.5) / n - 0.5) / 0.25 for n in question.grid)
    return np.exp(-0.5 * (down[:, np.newaxis] ** 2 + across**2)).astype(np.float32)


METHODS: Mapping[str, Method] = {
    "rollout": attention("rollout"),
    "last_layer": attention("last_layer"),
    "relevance": relevance,
    "integrated_gradients": integrated_gradients,
    "gradient_shap": gradient_shap,
    "occlusion": occlusion,
    "centred Gaussian": centre,
    "uniform": lambda question: np.ones(question.grid, np.float32),
}
RANDOMISED = ("rollout", "last_layer", "relevance", "integrated_gradients")
"""Methods that are cheap enough to be made a second time with random weights in torch."""


def untrained(model: pacx.Model) -> TorchEngine:
    """The same architecture with random weights throughout."""
    torch.manual_seed(0)
    encoder = VisionTransformer(encoder_config(model.bundle))
    classifier = Classifier(encoder, model.manifest.heads)
    return TorchEngine(classifier.eval().requires_grad_(False))


def asked(model: pacx.Model, path: Path) -> Question:
    """One film and its most probable finding."""
    film = pacx.read(path)
    finding = max(model.predict(film).findings, key=lambda item: item.probability)
    contrast = np.zeros(len(model.manifest.findings), np.float32)
    contrast[target_index(model.manifest, finding.label)] = 1
    return Question(
        engine=model.engine,
        spec=model.spec,
        grid=model.manifest.encoder.grid,
        pixels=model.prepare(film).pixels,
        contrast=contrast,
    )


def measured(question: Question, random: Question) -> Iterator[dict[str, str | float]]:
    """One row per method."""
    for name, method in METHODS.items():
        grid = method(question)
        row: dict[str, str | float] = {"method": name}
        row["deletion"] = deletion_gain(question, grid)
        row["insertion"] = insertion_gain(question, grid)
        row["infidelity"] = infidelity_of(question, grid)
        if name in RANDOMISED:
            other = method(random)
            row["randomised"] = float(spearmanr(grid.ravel(), other.ravel()).statistic)
        yield row


def interval(values: NDArray[np.float64]) -> str:
    """Mean with a 95 % bootstrap interval over films."""
    generator = np.random.default_rng(0)
    means = generator.choice(values, (REPLICATES, len(values))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{values.mean():.2f} ({low:.2f} to {high:.2f})"


def table(rows: Sequence[Mapping[str, str | float]]) -> str:
    """A Markdown table of all measures by method."""
    measures = ("deletion", "insertion", "infidelity", "randomised")
    lines = [f"| method | {' | '.join(measures)} |", "|---" * 5 + "|"]
    for name in METHODS:
        cells = []
        for measure in measures:
            found = [float(r[measure]) for r in rows if r["method"] == name and measure in r]
            cells.append(interval(np.array(found)) if found else "-")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure films that are not in the log yet, then print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="NIH films with labels.csv.")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--log", type=Path, default=Path("explanations.jsonl"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="Write docs/results.")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = pacx.load(engine="onnxruntime", threads=options.threads)
    engine = untrained(model)
    known = options.log.read_text().splitlines() if options.log.is_file() else []
    done = {json.loads(line)["film"] for line in known}
    for path in read_nih(options.data).split("val").paths[: options.count]:
        if path.name in done:
            continue
        question = asked(model, path)
        random = Question(
            engine=engine,
            spec=question.spec,
            grid=question.grid,
            pixels=question.pixels,
            contrast=question.contrast,
        )
        rows = list(measured(question, random))
        with options.log.open("a") as stream:
            stream.write(json.dumps({"film": path.name, "rows": rows}) + "\n")
    report(options.log, write=options.write)


def report(log: Path, *, write: bool) -> None:
    """Print the table of a log, or write it into ``docs/results``."""
    films = [json.loads(line) for line in log.read_text().splitlines()]
    text = table([row for film in films for row in film["rows"]])
    if write:
        RESULTS.write_text(HEAD.format(films=len(films)) + text + "\n", encoding="utf-8")
    print(text)


HEAD = """# Are the explanations any good?

The bundled model on {films} films it was not trained on, each asked about its most probable
finding. Means with 95 % bootstrap intervals over films. Made by
`python -m benchmarks.explanations`.

- **deletion**, **insertion**: area between hiding (showing) cells in random order and in the map's
  order, in units of the logit; 0 is chance, more is better.
- **infidelity**: error in predicting what random maskings cost, over that of an empty map; less is
  better. The uniform map's value is what the amount of masking alone explains.
- **randomised**: rank correlation with the map of a model with random weights; near 1 the map does
  not depend on what was learnt.

"""


if __name__ == "__main__":
    main()
