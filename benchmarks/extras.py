"""What rollout, heart and lungs, and relevance cost on top of an embedding.

Two questions: is ``/predict`` with rollout and anatomy within 1.10 of the embedding alone, and is
relevance within 2.2 of a prediction? Both sides of a ratio take turns call by call, so that a busy
machine slows both; the ratio is the median of the pairs' ratios, with a 95 % bootstrap interval.
Graphs are timed by the processor time of this process too, which other programs disturb least.

    python -m benchmarks.extras --pairs 200 --write
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.engines import example
from benchmarks.http_load import RESULTS, Connection, machine, post
from pacx.anatomy import measure_anatomy
from pacx.bundle import Bundle, open_bundle, resolve
from pacx.contours import contours
from pacx.engines import open_engine
from pacx.engines.protocol import Engine
from pacx.errors import EngineUnavailable
from pacx.preprocessing import Geometry
from tests.live_server import running
from tests.phantom_dicom import chest_pixels, dicom_bytes

WARM_UP = 10
REPLICATES = 2000
ROWS, COLUMNS = 2500, 2048
Seconds = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Seconds of two questions that took turns, float64 ``[pairs]`` each.

    Attributes:
        name: What is compared with what.
        limit: The ratio that is wanted at most; None where nothing is promised.
        less: Of the question with less in it.
        more: Of the other.
    """

    name: str
    limit: float | None
    less: Seconds
    more: Seconds

    def row(self) -> str:
        """One line of the table."""
        ratios = self.more / self.less
        draws = np.random.default_rng(0).choice(ratios, (REPLICATES, len(ratios)))
        low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
        less, more = (1000 * np.median(side) for side in (self.less, self.more))
        wanted = "-" if self.limit is None else f"{self.limit:.2f}"
        ratio = f"{np.median(ratios):.2f} ({low:.2f} to {high:.2f})"
        return f"| {self.name} | {less:.1f} | {more:.1f} | {ratio} | {wanted} |"


def timed(call: Callable[[], object], clock: Callable[[], float]) -> float:
    """Seconds of one call."""
    start = clock()
    call()
    return clock() - start


def graphs(bundle: Bundle, engine: Engine, pairs: int) -> list[Comparison]:
    """Graphs of one engine at batch 1, by processor time."""
    inputs = {graph: example(bundle, graph, 1) for graph in ("encode", "predict", "explain")}
    label = f"{engine.name} {engine.precision}"

    def run(graph: str) -> Callable[[], object]:
        return lambda: engine.run(graph, inputs[graph])

    def predicted() -> None:
        outputs = engine.run("predict", inputs["predict"])
        geometry = Geometry(ROWS, COLUMNS, bundle.manifest.input.size)
        contours(measure_anatomy(outputs["masks"][0], geometry).masks, geometry)

    questions: list[tuple[str, float | None, Callable[[], object], Callable[[], object]]] = [
        ("`encode`, `predict`", None, run("encode"), run("predict")),
        ("`encode`, `predict` with all that is measured", 1.10, run("encode"), predicted),
        ("`predict`, `explain`", 2.2, run("predict"), run("explain")),
    ]
    found = []
    for name, limit, less, more in questions:
        try:
            seconds = [
                (timed(less, time.process_time), timed(more, time.process_time))
                for _ in range(pairs + WARM_UP)
            ][WARM_UP:]
        except EngineUnavailable:
            continue
        sides = np.array(seconds).T
        name = f"{label}: {name}"
        found.append(Comparison(name=name, limit=limit, less=sides[0], more=sides[1]))
    return found


async def requests(port: int, target: str, pairs: int) -> list[Comparison]:
    """Requests of one caller, by the clock."""
    body = dicom_bytes(chest_pixels(ROWS, COLUMNS))
    embedding, prediction, relevance = (
        post(path, body)
        for path in (
            "/embeddings",
            "/predict?include=attention,anatomy",
            f"/explanations?method=relevance&target={target}",
        )
    )
    questions: list[tuple[str, float | None, bytes, bytes]] = [
        ("`/embeddings`, `/predict` with attention and anatomy", 1.10, embedding, prediction),
        ("`/predict`, `/explanations` with relevance", None, prediction, relevance),
    ]
    found = []
    async with Connection(port) as connection:
        for name, limit, *pair in questions:
            seconds = []
            for _ in range(pairs + WARM_UP):
                answers = [await connection.ask(request) for request in pair]
                if {answer.status for answer in answers} != {200}:
                    raise SystemExit(f"{name}: answered {[one.status for one in answers]}")
                seconds.append([answer.seconds for answer in answers])
            less, more = np.array(seconds[WARM_UP:]).T
            found.append(Comparison(name=name, limit=limit, less=less, more=more))
    return found


def measured(bundle: Bundle, pairs: int, threads: int) -> list[Comparison]:
    """All comparisons: graphs of each engine that is offered, then requests."""
    found = []
    for name in ("onnxruntime", "openvino"):
        try:
            engine = open_engine(bundle, name, threads=threads)
        except EngineUnavailable:
            continue
        found += graphs(bundle, engine, pairs)
        engine.close()
    target = bundle.manifest.findings[0].label
    settings = {"PACX_BUNDLES": str(bundle.directory), "PACX_ENGINE_THREADS": str(threads)}
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), settings) as server,
    ):
        found += asyncio.run(requests(server.port, target, pairs))
    return found


def main() -> None:
    """Measure and print, or write ``docs/results/extras.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, default=None)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1, help="Of the engine.")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    bundle = open_bundle(options.bundle or resolve())
    rows = [one.row() for one in measured(bundle, options.pairs, options.threads)]
    text = HEAD.format(
        model=f"`{bundle.manifest.name}` {bundle.manifest.version}",
        pairs=options.pairs,
        threads=options.threads,
        machine=machine(),
        rows="\n".join(rows),
    )
    if options.write:
        (RESULTS / "extras.md").write_text(text, encoding="utf-8")
    print(text)


HEAD = """# What rollout, heart and lungs, and relevance cost

{model}, {pairs} pairs of calls that took turns, engine with {threads} thread, {machine}.
Graphs at batch 1 by processor time; requests of one caller with a DICOM of 2500 x 2048 by the
clock. The ratio is the median of the pairs' ratios with a 95 % bootstrap interval. `explain` is
the relevance map alone; `/explanations` makes a prediction first, which its focus and its outlines
need.

| less, more | less, ms | more, ms | ratio | wanted at most |
|---|---|---|---|---|
{rows}

Made by `python -m benchmarks.extras --write`.
"""


if __name__ == "__main__":
    main()
