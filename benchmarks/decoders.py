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

from pydicom import uid

from benchmarks.http_load import MEBIBYTE, RESULTS, machine
from pacx.preprocessing import ModelInput, PreprocessingSpec, prepare
from pacx.reading import ReadingLimits, ReadingOptions, read
from pacx_server.decoder import Confinement
from pacx_server.decoding import DecoderPool
from tests.dicom_files import dicom_file
from tests.phantom_dicom import chest_pixels

SPEC = PreprocessingSpec()
SYNTAXES = (uid.ExplicitVRLittleEndian, uid.JPEGLosslessSV1, uid.JPEG2000Lossless)
WORKERS = 2


async def here(threads: ThreadPoolExecutor, file: bytes, count: int) -> float:
    """Films a second in threads of this process."""
    loop = asyncio.get_running_loop()
    return await _rate(lambda: loop.run_in_executor(threads, _decode, file), count)


async def guarded(pool: DecoderPool, file: bytes, count: int) -> float:
    """Films a second with the way to a process and back."""
    return await _rate(lambda: pool.decode(file, SPEC), count)


def _decode(file: bytes) -> ModelInput:
    return prepare(read(file), SPEC)


async def _rate(decode: Callable[[], Awaitable[object]], count: int) -> float:
    async def caller() -> None:
        for _ in range(count // WORKERS):
            await decode()

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(WORKERS)))
    return count // WORKERS * WORKERS / (time.perf_counter() - started)


async def compare(rounds: int, count: int) -> list[tuple[str, float, float]]:
    """Name of the transfer syntax, films a second here, films a second guarded; medians."""
    confinement = Confinement(
        memory_bytes=2048 * MEBIBYTE, cpu_s=30, reading=ReadingLimits(), options=ReadingOptions()
    )
    pool = DecoderPool(
        workers=WORKERS, confinement=confinement, deadline_s=120, recycle_after=100_000
    )
    threads = ThreadPoolExecutor(WORKERS)
    await pool.start()
    rows = []
    for syntax in SYNTAXES:
        file = dicom_file(chest_pixels(2500, 2048), syntax=syntax, bits_stored=12)
        await guarded(pool, file, WORKERS)
        pairs = [
            (await here(threads, file, count), await guarded(pool, file, count))
            for _ in range(rounds)
        ]
        inside, outside = (statistics.median(column) for column in zip(*pairs, strict=True))
        rows.append((uid.UID(syntax).name, inside, outside))
    await pool.close()
    return rows


def report(rows: list[tuple[str, float, float]]) -> str:
    """A page with one line for each transfer syntax."""
    lines = [
        f"| {name} | {inside:.1f} | {outside:.1f} | {outside / inside:.2f} |"
        for name, inside, outside in rows
    ]
    return "\n".join(
        [
            "# Guarded decoding",
            "",
            f"Films of 2048 x 2500 pixels a second, read and resized, {WORKERS} threads of one "
            f"process beside {WORKERS} guarded processes, medians of alternating rounds; "
            f"{machine()}.",
            "",
            "| transfer syntax | in process, films/s | guarded, films/s | ratio |",
            "| --- | --- | --- | --- |",
            *lines,
            "",
        ]
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--write", action="store_true", help="docs/results/decoders.md")
    arguments = parser.parse_args()
    page = report(asyncio.run(compare(arguments.rounds, arguments.count)))
    print(page)
    if arguments.write:
        (RESULTS / "decoders.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
