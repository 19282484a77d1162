"""The reader's public face."""

from __future__ import annotations

from pathlib import Path

from pacx.errors import MalformedImage, TooLarge
from pacx.radiograph import Radiograph
from pacx.reading.content import Content
from pacx.reading.dicom import read_dicom
from pacx.reading.failures import reported_as
from pacx.reading.limits import DEFAULT_LIMITS, DEFAULT_OPTIONS, ReadingLimits, ReadingOptions
from pacx.reading.raster import read_raster
from pacx.reading.sniffing import sniff


def read(
    source: str | Path | Content,
    *,
    limits: ReadingLimits = DEFAULT_LIMITS,
    options: ReadingOptions = DEFAULT_OPTIONS,
) -> Radiograph:
    """Read one chest radiograph: DICOM, PNG, JPEG or 16-bit grey TIFF, told by its content.

    The result depends on the bytes alone. Nothing is written or logged, and nothing about the
    patient is kept.

    Args:
        source: A path, or the bytes of a file, also mapped ones.
        limits: Bounds on what is read.
        options: What is accepted as a chest radiograph.

    Returns:
        Pixels as a display would show them, float32 ``[rows, columns]`` in [0, 1], air dark, with
        geometry, facts and warnings.

    Raises:
        InputError: One of its classes says why the file cannot be read or used.
        OSError: The path cannot be opened.
    """
    content = _load(Path(source), limits) if isinstance(source, str | Path) else source
    if len(content) > limits.file_bytes:
        raise TooLarge(f"The file has more than {limits.file_bytes} bytes.")
    with reported_as(MalformedImage, "The file cannot be read."):
        name = sniff(content)
        if name == "dicom":
            return read_dicom(content, limits, options)
        return read_raster(bytes(content), name, limits)


def _load(path: Path, limits: ReadingLimits) -> bytes:
    """Read one byte more than allowed at most, so that growing files and devices end."""
    with path.open("rb") as file:
        return file.read(limits.file_bytes + 1)
