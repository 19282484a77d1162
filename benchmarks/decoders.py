"""What guarding costs: decoding in processes of its own beside decoding in this process.

Processor time per film of 2048 x 2500 pixels, of rounds that alternate; with ``--write`` the page
``docs/results/decoders.md``.

    python -m benchmarks.decoders --write
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time

import psutil
from pydicom import uid

from benchmarks.http_load import MEBIBYTE, RESULTS, machine
from pacx.preprocessing import PreprocessingSpec, prepare
from pacx.reading import ReadingLimits, ReadingOptions, read
from pacx_server.decoder import Confinement
from pacx_server.decoding import DecoderPool
from tests.dicom_files import dicom_file
from tests.phantom_dicom import chest_pixels

SPEC = PreprocessingSpec()
SYNTAXES = (uid.ExplicitVRLittleEndian, uid.JPEGLosslessSV1, uid.JPEG2000Lossless)
WORKERS = 2


def processor_s() -> float:
    """Processor time of this process and all below it so far."""
    root = psutil.Process()
    return sum(sum(p.cpu_times()[:2]) for p in (root, *root.children(recursive=True)))


def here(file: bytes, count: int) -> float:
    """Processor time per film in this process, milliseconds."""
    started = time.process_time()
    for _ in range(count):
        prepare(read(file), SPEC)
    return (time.process_time() - started) / count * 1000


async def guarded(pool: DecoderPool, file: bytes, count: int) -> float:
    """Processor time per film with the way to a process and back, milliseconds."""
    started = processor_s()
    for _ in range(count // WORKERS):
        await asyncio.gather(*(pool.decode(file, SPEC) for _ in range(WORKERS)))
    return (processor_s() - started) / count * 1000


async def compare(rounds: int, count: int) -> list[tuple[str, float, float]]:
    """Name of the transfer syntax, milliseconds here, milliseconds guarded; medians."""
    confinement = Confinement(
        memory_bytes=2048 * MEBIBYTE, cpu_s=30, reading=ReadingLimits(), options=ReadingOptions()
    )
    pool = DecoderPool(
        workers=WORKERS, confinement=confinement, deadline_s=120, recycle_after=100_000
    )
    await pool.start()
    rows = []
    for syntax in SYNTAXES:
        file = dicom_file(chest_pixels(2500, 2048), syntax=syntax, bits_stored=12)
        await guarded(pool, file, WORKERS)
        pairs = [(here(file, count), await guarded(pool, file, count)) for _ in range(rounds)]
        inside, outside = (statistics.median(column) for column in zip(*pairs, strict=True))
        rows.append((uid.UID(syntax).name, inside, outside))
    await pool.close()
    return rows


def report(rows: list[tuple[str, float, float]]) -> str:
    """A page with one line for each transfer syntax."""
    lines = [
        f"| {name} | {inside:.1f} | {outside:.1f} | {inside / outside:.2f} |"
        for name, inside, outside in rows
    ]
    return "\n".join(
        [
            "# Guarded decoding",
            "",
            "Processor time per film of 2048 x 2500 pixels, reading and resizing, medians of "
            f"alternating rounds; {machine()}.",
            "",
            "| transfer syntax | in process, ms | guarded, ms | ratio |",
            "| --- | --- | --- | --- |",
            *lines,
            "",
        ]
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=6)
    parser.add_argument("--write", action="store_true", help="docs/results/decoders.md")
    arguments = parser.parse_args()
    page = report(asyncio.run(compare(arguments.rounds, arguments.count)))
    print(page)
    if arguments.write:
        (RESULTS / "decoders.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
