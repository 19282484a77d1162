"""Runs ``pacx`` in one process of several, and says what that process wrote.

``watched_process.py FOLDER ARGUMENTS...`` under torchrun; what process N wrote below the folder
stands in ``FOLDER/written-N.json``, relative to the folder and sorted.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from typer.testing import CliRunner

from pacx.cli import app

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def main(folder: Path, arguments: list[str]) -> None:
    """Run the command; its failure is this process's."""
    written: set[str] = set()

    def listen(event: str, details: tuple[object, ...]) -> None:
        if event == "open" and isinstance(details[2], int) and details[2] & _WRITING:
            written.add(os.fsdecode(str(details[0])))
        if event == "os.rename":
            written.add(os.fsdecode(str(details[1])))

    sys.addaudithook(listen)
    CliRunner().invoke(app, arguments, catch_exceptions=False, standalone_mode=False)
    below = sorted(
        str(Path(path).relative_to(folder)) for path in written if Path(path).is_relative_to(folder)
    )
    (folder / f"written-{os.environ['RANK']}.json").write_text(json.dumps(below))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
