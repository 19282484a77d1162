"""What is asked of the subjects: films, labels, splits and metrics."""

from pacx_evaluation.benchmarks.benchmark import Benchmark, Exclusion, Target
from pacx_evaluation.benchmarks.registry import benchmark_names, open_benchmark

__all__ = ["Benchmark", "Exclusion", "Target", "benchmark_names", "open_benchmark"]
