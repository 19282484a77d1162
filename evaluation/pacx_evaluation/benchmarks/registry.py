"""From what stands on the command line to a benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pacx.errors import BenchmarkError
from pacx_evaluation.benchmarks.benchmark import Benchmark
from pacx_evaluation.benchmarks.hannover import hannover_benchmark
from pacx_evaluation.benchmarks.manifest import manifest_benchmark
from pacx_evaluation.benchmarks.nih import nih_benchmark
from pacx_evaluation.benchmarks.paper import READERS
from pacx_evaluation.benchmarks.simulated import simulated_benchmark

_TABLES = (".csv", ".parquet")
_FOLDERS: Mapping[str, Callable[[Path], Benchmark]] = {
    "nih": nih_benchmark,
    "hannover": hannover_benchmark,
    "simulated": simulated_benchmark,
    **READERS,
}


def benchmark_names() -> tuple[str, ...]:
    """Names that ``--benchmark`` takes."""
    return tuple(_FOLDERS)


def open_benchmark(
    text: str,
    *,
    data: Path | None = None,
    labels: Sequence[str] = (),
    within: Path | None = None,
) -> Benchmark:
    """Open a benchmark.

    Args:
        text: One of the names, or the path of a manifest.
        data: The folder that a named benchmark is read from.
        labels: Columns of a manifest to ask about; none means all.
        within: The folder that a manifest's films must lie in, None for anywhere.

    Raises:
        BenchmarkError: No such benchmark, or its folder was not given.
        CohortError: Its data is wrong.
    """
    if Path(text).suffix in _TABLES:
        return manifest_benchmark(Path(text), labels, within)
    if text not in _FOLDERS:
        known = ", ".join(benchmark_names())
        raise BenchmarkError(f"Benchmarks are {known}, or a manifest ending in .csv or .parquet.")
    if data is None or not data.is_dir():
        raise BenchmarkError(f"The benchmark {text} is read from a folder: --data FOLDER.")
    return _FOLDERS[text](data)
