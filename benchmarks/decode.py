"""Milliseconds to read a film of 2048 x 2500 pixels, ours against plain pydicom in the same run.

Run ``python -m benchmarks.decode``; it prints a table and writes ``docs/results/decode.md`` when
called with ``--write``. Each number is the processor time of the fastest of several interleaved
runs, so that other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom import uid
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from pacx.preprocessing import PreprocessingSpec, prepare
from pacx.reading import available_decoders, read
from tests.dicom_files import LOSSLESS, LOSSY, NATIVE, dicom_file
from tests.phantom_dicom import chest_pixels

ROWS, COLUMNS = 2500, 2048
REPORT = Path(__file__).parents[1] / "docs" / "results" / "decode.md"
SPEC = PreprocessingSpec()


def film(bits: int) -> NDArray[np.uint16]:
    """A phantom with detector noise, as hard to compress as a real film."""
    grey = chest_pixels(ROWS, COLUMNS).astype(np.float64) * ((1 << bits) - 1) / 4095
    noise = np.random.default_rng(0).normal(0, 1.5 * 2 ** (bits - 10), grey.shape)
    return np.asarray(np.clip(grey + noise, 0, (1 << bits) - 1), dtype=np.uint16)


def content(syntax: uid.UID) -> bytes:
    """A windowed file of 16 bits, or as many as the syntax has."""
    bits = {uid.JPEGBaseline8Bit: 8, uid.JPEGExtended12Bit: 12}.get(syntax, 16)
    pixels = film(bits) if bits > 8 else film(8).astype(np.uint8)
    window = {"WindowCenter": 1 << bits - 1, "WindowWidth": 3 << bits - 2}
    elements: dict[str, Any] = {"RescaleSlope": 1, "RescaleIntercept": 0} | window
    return dicom_file(pixels, syntax=syntax, bits_stored=bits, **elements)


def ours(file: bytes) -> object:
    """Windowed float32 pixels, checked, with geometry and facts."""
    return read(file)


def theirs(file: bytes) -> object:
    """Windowed float64 pixels."""
    data_set = pydicom.dcmread(io.BytesIO(file))
    return apply_voi_lut(apply_modality_lut(data_set.pixel_array, data_set), data_set)


def ours_resized(file: bytes) -> object:
    """From the bytes of an uncompressed file to the model's grid, parsing included."""
    return prepare(read(file), SPEC)


class TheirsResized:
    """From decoded pixels to the model's grid; parsing and decoding are done beforehand."""

    def __init__(self, file: bytes) -> None:
        self._data_set = pydicom.dcmread(io.BytesIO(file))
        self._stored = self._data_set.pixel_array

    def __call__(self, _: bytes) -> object:
        """Window, scale to [0, 1], resize."""
        shown = apply_voi_lut(apply_modality_lut(self._stored, self._data_set), self._data_set)
        scaled = ((shown - shown.min()) / np.ptp(shown)).astype(np.float32)
        return Image.fromarray(scaled).resize((SPEC.size, SPEC.size), Image.Resampling.BILINEAR)


def fastest_ms(runs: int, file: bytes, *calls: Callable[[bytes], object]) -> list[float]:
    """Fastest of several runs of each call, taken in turn so that all meet the same machine."""
    best = [float("inf")] * len(calls)
    for _ in range(runs):
        for index, call in enumerate(calls):
            start = time.process_time()
            call(file)
            best[index] = min(best[index], 1e3 * (time.process_time() - start))
    return best


def row(syntax: uid.UID, runs: int) -> str:
    """One line of the table."""
    file = content(syntax)
    decoder = {found.transfer_syntax: found for found in available_decoders()}[syntax]
    try:
        theirs(file)
    except RuntimeError:
        mine = fastest_ms(runs, file, ours)[0]
        return f"| {decoder.name} | {decoder.library} | {mine:.0f} | not decoded | |"
    mine, other = fastest_ms(runs, file, ours, theirs)
    return f"| {decoder.name} | {decoder.library} | {mine:.0f} | {other:.0f} | {other / mine:.1f} |"


def report(runs: int) -> str:
    """The whole page."""
    rows = [row(syntax, runs) for syntax in (*NATIVE, *LOSSLESS, *LOSSY)]
    file = content(uid.ExplicitVRLittleEndian)
    mine, other = fastest_ms(5 * runs, file, ours_resized, TheirsResized(file))
    return "\n".join(
        [
            "# Reading a film",
            "",
            f"{COLUMNS} x {ROWS} pixels of 16 bits (JPEG baseline 8, extended 12); "
            f"processor time of the "
            f"fastest of {runs} interleaved runs. Ours: `pacx.read`. pydicom: "
            f"`apply_voi_lut(apply_modality_lut(dcmread(...).pixel_array))`, pydicom "
            f"{pydicom.__version__} with its default plugins. "
            f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}.",
            "",
            "| transfer syntax | our decoder | ours, ms | pydicom, ms | ratio |",
            "| --- | --- | --- | --- | --- |",
            *rows,
            "",
            f"Windowing and resizing to {SPEC.size} x {SPEC.size}: ours {mine:.0f} ms, parsing "
            f"included; pydicom's windowing with Pillow's resize, decoded beforehand, "
            f"{other:.0f} ms; ratio {other / mine:.1f}.",
            "",
            "Made by `python -m benchmarks.decode --write`.",
            "",
        ]
    )


def main() -> None:
    """Measure, print, and write where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    page = report(options.runs)
    print(page)
    if options.write:
        REPORT.parent.mkdir(parents=True, exist_ok=True)
        REPORT.write_text(page)


if __name__ == "__main__":
    main()
