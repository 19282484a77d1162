"""A chest phantom as a DICOM file, written without any outside data.

Run as a script it writes one file: ``python tests/phantom_dicom.py phantom.dcm``.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

WHITE = 4095


def chest_pixels(
    rows: int = 500, columns: int = 420, *, marked: tuple[int, int, int] | None = None
) -> NDArray[np.uint16]:
    """A schematic chest: body, two dark lungs, a bright heart; 12 bits, air dark.

    Args:
        rows: Height of the picture.
        columns: Width of the picture.
        marked: Row, column and side of a white square painted on top, in pixels.
    """
    y, x = np.mgrid[0:rows, 0:columns]
    v, u = (y + 0.5) / rows, (x + 0.5) / columns
    picture = np.full((rows, columns), 300.0)
    picture[_ellipse(u, v, 0.5, 0.55, 0.46, 0.52)] = 2600
    picture[_ellipse(u, v, 0.29, 0.48, 0.15, 0.32)] = 900
    picture[_ellipse(u, v, 0.71, 0.48, 0.15, 0.32)] = 900
    picture[_ellipse(u, v, 0.56, 0.62, 0.16, 0.15)] = 3000
    picture += 120 * np.cos(40 * v)
    if marked is not None:
        row, column, side = marked
        picture[row : row + side, column : column + side] = WHITE
    whole: NDArray[np.uint16] = np.clip(picture, 0, WHITE).astype(np.uint16)
    return whole


def dicom_bytes(pixels: NDArray[np.uint16], **elements: object) -> bytes:
    """A DX file (explicit little endian, MONOCHROME2, 12 bits) around ``pixels``.

    Args:
        pixels: uint16 ``[rows, columns]``.
        elements: DICOM keywords that are set last; None deletes an element.
    """
    header = chest_header(pixels.shape)
    header.PixelData = pixels.tobytes()
    header["PixelData"].VR = "OW"
    for keyword, value in elements.items():
        if value is None:
            delattr(header, keyword)
        else:
            setattr(header, keyword, value)
    return part10_bytes(header, ExplicitVRLittleEndian)


def part10_bytes(header: Dataset, syntax: UID) -> bytes:
    """A data set as a file in a transfer syntax; its pixel data is written as it is."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = UID("1.2.826.0.1.3680043.8.498.1")
    meta.TransferSyntaxUID = syntax
    file = FileDataset(
        "",
        {},
        file_meta=meta,
        preamble=b"\0" * 128,
        is_implicit_VR=syntax.is_implicit_VR,
        is_little_endian=syntax.is_little_endian,
    )
    file.update(header)
    buffer = io.BytesIO()
    file.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def chest_header(shape: tuple[int, ...]) -> Dataset:
    """Everything but the pixel data: DX, PA, MONOCHROME2, 12 of 16 bits, a window over all."""
    header = Dataset()
    header.SOPClassUID = DigitalXRayImageStorageForPresentation
    header.SOPInstanceUID = "1.2.826.0.1.3680043.8.498.1"
    header.Modality = "DX"
    header.BodyPartExamined = "CHEST"
    header.ViewPosition = "PA"
    header.PresentationIntentType = "FOR PRESENTATION"
    header.PhotometricInterpretation = "MONOCHROME2"
    header.SamplesPerPixel = 1
    header.Rows, header.Columns = shape[:2]
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, 12, 11
    header.PixelRepresentation = 0
    header.PixelSpacing = [0.8, 0.8]
    header.WindowCenter, header.WindowWidth = 2048, 4096
    return header


def _ellipse(
    u: NDArray[np.float64],
    v: NDArray[np.float64],
    centre_u: float,
    centre_v: float,
    radius_u: float,
    radius_v: float,
) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = ((u - centre_u) / radius_u) ** 2 + (
        (v - centre_v) / radius_v
    ) ** 2 <= 1
    return inside


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(dicom_bytes(chest_pixels()))
