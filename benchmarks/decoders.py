"""What guarding costs: decoding in processes of its own beside decoding in this process's threads.

Films of 2048 x 2500 pixels a second, as many callers as workers or threads, of rounds that
alternate; with ``--write`` the page ``docs/results/decoders.md``. Wants a quiet machine.

    python -m benchmarks.decoders --write
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from pydicom import uid

from benchmarks.http_load import MEBIBYTE, RESULTS, machine
from pacx.model import Model, load
from pacx.preprocessing import ModelInput, PreprocessingSpec, prepare
from pacx.reading import ReadingLimits, ReadingOptions, read
from pacx_server.decoder import Confinement
from pacx_server.decoding import DecoderPool
from tests.dicom_files import dicom_file
from tests.phantom_dicom import chest_pixels

SPEC = PreprocessingSpec()
SYNTAXES = (uid.ExplicitVRLittleEndian, uid.JPEGLosslessSV1, uid.JPEG2000Lossless)
WORKERS = 2


Decode: TypeAlias = Callable[[bytes], Awaitable[ModelInput]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Films a second of one transfer syntax, medians.

    Attributes:
        name: Of the transfer syntax.
        here: In threads of this process.
        guarded: With the way to a process and back.
        here_answered: The first with the model behind it.
        guarded_answered: The second with the model behind it.
    """

    name: str
    here: float
    guarded: float
    here_answered: float
    guarded_answered: float


class Comparison:
    """Both ways to decode, and one model with one thread to call it, as in the server."""

    def __init__(self, pool: DecoderPool, model: Model) -> None:
        self._pool = pool
        self._model = model
        self._threads = ThreadPoolExecutor(WORKERS)
        self._engine = ThreadPoolExecutor(1)

    async def here(self, file: bytes) -> ModelInput:
        """Decode in a thread of this process."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: prepare(read(file), SPEC))

    async def guarded(self, file: bytes) -> ModelInput:
        """Decode in a process of its own."""
        return (await self._pool.decode(file, SPEC)).input

    async def answered(self, decode: Decode, file: bytes) -> None:
        """Decode, then run the model."""
        pixels = (await decode(file)).pixels[np.newaxis]
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._engine, self._model.run, pixels)

    async def round(self, file: bytes, count: int) -> tuple[float, ...]:
        """Films a second: here, guarded, and both with the model behind them."""
        ways: tuple[Callable[[], Awaitable[object]], ...] = (
            lambda: self.here(file),
            lambda: self.guarded(file),
            lambda: self.answered(self.here, file),
            lambda: self.answered(self.guarded, file),
        )
        return tuple([await _rate(way, count) for way in ways])


async def _rate(work: Callable[[], Awaitable[object]], count: int) -> float:
    async def caller() -> None:
        for _ in range(count // WORKERS):
            await work()

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(WORKERS)))
    return count // WORKERS * WORKERS / (time.perf_counter() - started)


async def compare(rounds: int, count: int) -> list[Row]:
    """Measure every transfer syntax."""
    confinement = Confinement(
        memory_bytes=2048 * MEBIBYTE, cpu_s=30, reading=ReadingLimits(), options=ReadingOptions()
    )
    pool = DecoderPool(
        workers=WORKERS, confinement=confinement, deadline_s=120, recycle_after=100_000
    )
    await pool.start()
    comparison, rows = Comparison(pool, load()), []
    for syntax in SYNTAXES:
        file = dicom_file(chest_pixels(2500, 2048), syntax=syntax, bits_stored=12)
        await comparison.round(file, WORKERS)
        measured = [await comparison.round(file, count) for _ in range(rounds)]
        columns = map(statistics.median, zip(*measured, strict=True))
        names = ("here", "guarded", "here_answered", "guarded_answered")
        rows.append(Row(name=uid.UID(syntax).name, **dict(zip(names, columns, strict=True))))
    await pool.close()
    return rows


def report(rows: list[Row]) -> str:
    """A page with one line for each transfer syntax."""
    lines = [
        f"| {row.name} | {row.here:.1f} | {row.guarded:.1f} | {row.guarded / row.here:.2f} "
        f"| {row.here_answered:.1f} | {row.guarded_answered:.1f} "
        f"| {row.guarded_answered / row.here_answered:.2f} |"
        for row in rows
    ]
    return "\n".join(
        [
            "# Guarded decoding",
            "",
            f"Films of 2048 x 2500 pixels a second, read and resized, {WORKERS} threads of one "
            f"process beside {WORKERS} guarded processes, alone and with the model behind them; "
            f"medians of alternating rounds; {machine()}.",
            "",
            "| transfer syntax | in process | guarded | ratio | with the model | guarded | ratio |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *lines,
            "",
        ]
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--write", action="store_true", help="docs/results/decoders.md")
    arguments = parser.parse_args()
    page = report(asyncio.run(compare(arguments.rounds, arguments.count)))
    print(page)
    if arguments.write:
        (RESULTS / "decoders.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
