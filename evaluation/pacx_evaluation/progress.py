"""How far an evaluation is: bars for people, JSON lines for whatever started the command."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from sqlite3 import OperationalError
from typing import TypeAlias

from rich.console import Console
from rich.progress import Progress as Bars

from pacx.errors import InsufficientStorage, PacxError, is_full

Progress: TypeAlias = Callable[[str, int, int], object]
"""Told what is being done, how much of it is done, and how much there is."""


@contextmanager
def shown(console: Console, *, as_json: bool) -> Iterator[Progress]:
    """Show progress until the block ends.

    Args:
        console: Where bars are drawn.
        as_json: Write ``{"doing", "done", "total"}`` to standard output instead, a line each, and
            ``{"error": {"code", "detail"}}`` where the block ends with an error of ours.
    """
    with _told() if as_json else _drawn(console) as progress:
        yield progress


@contextmanager
def _drawn(console: Console) -> Iterator[Progress]:
    with Bars(console=console, transient=True) as bars:
        task = bars.add_task("reading films", total=None)
        yield lambda doing, done, total: bars.update(
            task, description=doing, completed=done, total=total
        )


@contextmanager
def _told() -> Iterator[Progress]:
    try:
        yield lambda doing, done, total: _tell(doing=doing, done=done, total=total)
    except PacxError as error:
        _tell(error={"code": error.code, "detail": error.detail})
        raise
    except (OSError, OperationalError) as error:
        if "is full" in str(error) or (isinstance(error, OSError) and is_full(error)):
            full = InsufficientStorage("The disk is full where the report is written.")
            _tell(error={"code": full.code, "detail": full.detail})
        raise


def _tell(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()
