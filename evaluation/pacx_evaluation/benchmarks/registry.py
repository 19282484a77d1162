"""From what stands on the command line to a benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pacx.errors import BenchmarkError
from pacx_evaluation.asked import TABLES
from pacx_evaluation.benchmarks.benchmark import Benchmark
from pacx_evaluation.benchmarks.hannover import hannover_benchmark
from pacx_evaluation.benchmarks.manifest import manifest_benchmark
from pacx_evaluation.benchmarks.nih import nih_benchmark
from pacx_evaluation.benchmarks.paper import PAPER, paper_benchmark
from pacx_evaluation.benchmarks.simulated import simulated_benchmark
from pacx_evaluation.benchmarks.symile import symile_benchmark

_OURS: Mapping[str, Callable[[Path], Benchmark]] = {
    "nih": nih_benchmark,
    "hannover": hannover_benchmark,
    "simulated": simulated_benchmark,
    "symile": symile_benchmark,
}


def benchmark_names() -> tuple[str, ...]:
    """Names that ``--benchmark`` takes."""
    return (*_OURS, *PAPER)


def open_benchmark(
    text: str,
    *,
    data: Path | None = None,
    images: Path | None = None,
    labels: Sequence[str] = (),
    within: Path | None = None,
    teachers: Path | None = None,
) -> Benchmark:
    """Open a benchmark.

    Args:
        text: One of the names, or the path of a manifest.
        data: The folder that a named benchmark is read from.
        images: Where MIMIC-CXR-JPG lies, for benchmarks on its films; ``data`` where None.
        labels: Columns of a manifest to ask about; none means all.
        within: The folder that a manifest's films must lie in, None for anywhere.
        teachers: A run of stage 2 whose teachers speak of the films of ``symile``.

    Raises:
        BenchmarkError: No such benchmark, or its folder was not given.
        CohortError: Its data is wrong.
    """
    if Path(text).suffix in TABLES:
        return manifest_benchmark(Path(text), labels, within)
    if text not in benchmark_names():
        known = ", ".join(benchmark_names())
        raise BenchmarkError(f"Benchmarks are {known}, or a manifest ending in .csv or .parquet.")
    if data is None or not data.is_dir():
        raise BenchmarkError(f"The benchmark {text} is read from a folder: --data FOLDER.")
    if text == "symile":
        return symile_benchmark(data, teachers)
    return _OURS[text](data) if text in _OURS else paper_benchmark(text, data, images)
