"""Bars for what takes long, on the error stream; without a terminal only their last state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_Thing = TypeVar("_Thing")


def progress(*, disable: bool = False) -> Progress:
    """Bars with counts and the time that is left; a context manager."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    return Progress(*columns, TimeRemainingColumn(), console=console, disable=disable)


def tracked(things: Iterable[_Thing], description: str, total: int) -> Iterator[_Thing]:
    """Pass things on and show how many there were of a total; no bar where there are none."""
    with progress(disable=not total) as bars:
        yield from bars.track(things, total=total, description=description)
