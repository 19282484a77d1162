"""What a server does for several callers at once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import t

from pacx.manifest import Interval
from pacx_evaluation.subjects import Encoder


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Answers to callers who each ask for the next film when they have the last.

    Attributes:
        seconds: Of every film, from asking to embedding, over all rounds.
        films_per_second: Of every round.
    """

    seconds: tuple[float, ...]
    films_per_second: tuple[float, ...]


def asked_at_once(encoder: Encoder, paths: Sequence[Path], *, callers: int, rounds: int) -> Load:
    """Let callers share the films of every round, one film in a request."""
    seconds: list[float] = []
    rates = []

    def ask(path: Path) -> None:
        asked = time.perf_counter()
        encoder.embed([path])
        seconds.append(time.perf_counter() - asked)

    with ThreadPoolExecutor(callers) as pool:
        for _ in range(rounds):
            began = time.perf_counter()
            list(pool.map(ask, paths))
            rates.append(len(paths) / (time.perf_counter() - began))
    return Load(seconds=tuple(seconds), films_per_second=tuple(rates))


def mean_over_rounds(values: Sequence[float]) -> Interval:
    """The mean with its 95 % interval by Student's t; rounds are few."""
    mean = float(np.mean(values))
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    half = float(t.ppf(0.975, len(values) - 1)) * error
    return Interval(value=mean, low=mean - half, high=mean + half)
