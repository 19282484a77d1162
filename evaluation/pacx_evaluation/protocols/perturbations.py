"""The same film as other machines, viewers and archives would have delivered it."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)

from pacx.radiograph import Radiograph
from pacx.reading import read

Grey = NDArray[np.float32]
Perturbation = Callable[[Radiograph], Radiograph]

MODEL_SIDE = 224
BITS = 12
_WHITE_8, _WHITE_12 = 255, 2**BITS - 1


def jpeg(film: Radiograph, *, quality: int) -> Radiograph:
    """Eight bits, compressed with loss."""
    buffer = io.BytesIO()
    _eight_bits(film).save(buffer, format="jpeg", quality=quality)
    return read(buffer.getvalue())


def window(film: Radiograph, *, width: float) -> Radiograph:
    """A display window of another width around the middle grey."""
    return _replaced(film, np.clip((film.pixels - 0.5) / width + 0.5, 0, 1))


def rotation(film: Radiograph, *, degrees: float) -> Radiograph:
    """A patient who leans, on a black background."""
    turned = Image.fromarray(film.pixels).rotate(degrees, Image.Resampling.BILINEAR)
    return _replaced(film, np.asarray(turned))


def resized(film: Radiograph, *, kernel: Image.Resampling) -> Radiograph:
    """Squashed to the model's side by another kernel before the model sees it."""
    small = Image.fromarray(film.pixels).resize((MODEL_SIDE, MODEL_SIDE), kernel)
    return _replaced(film, np.clip(np.asarray(small), 0, 1))


def dicom(film: Radiograph, *, inverted: bool) -> Radiograph:
    """A 12-bit DICOM file, MONOCHROME1 or MONOCHROME2, read back."""
    levels = np.rint(film.pixels * _WHITE_12).astype(np.uint16)
    return read(_dicom_bytes(_WHITE_12 - levels if inverted else levels, inverted))


PERTURBATIONS: Mapping[str, Perturbation] = {
    "JPEG, quality 90": partial(jpeg, quality=90),
    "JPEG, quality 50": partial(jpeg, quality=50),
    "window 10 % narrower": partial(window, width=0.9),
    "window 10 % wider": partial(window, width=1.1),
    "rotated by 5 degrees": partial(rotation, degrees=5),
    "rotated by -5 degrees": partial(rotation, degrees=-5),
    "resized by nearest neighbour": partial(resized, kernel=Image.Resampling.NEAREST),
    "resized by Lanczos": partial(resized, kernel=Image.Resampling.LANCZOS),
    "12-bit DICOM, MONOCHROME2": partial(dicom, inverted=False),
    "12-bit DICOM, MONOCHROME1": partial(dicom, inverted=True),
}


def _replaced(film: Radiograph, pixels: Grey) -> Radiograph:
    return Radiograph.from_array(pixels.astype(np.float32), spacing_mm=film.spacing_mm)


def _eight_bits(film: Radiograph) -> Image.Image:
    return Image.fromarray(np.rint(film.pixels * _WHITE_8).astype(np.uint8))


def _dicom_bytes(levels: NDArray[np.uint16], inverted: bool) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    file.update(_header(levels, inverted))
    buffer = io.BytesIO()
    file.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _header(levels: NDArray[np.uint16], inverted: bool) -> Dataset:
    header = Dataset()
    header.SOPClassUID = DigitalXRayImageStorageForPresentation
    header.SOPInstanceUID = generate_uid()
    header.Modality, header.BodyPartExamined = "DX", "CHEST"
    header.PresentationIntentType = "FOR PRESENTATION"
    header.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    header.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    header.SamplesPerPixel, header.PixelRepresentation = 1, 0
    header.Rows, header.Columns = levels.shape
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, BITS, BITS - 1
    # DICOM PS3.3 C.11.2.1.2.1: this linear window maps 0 to black and the maximum to white.
    header.WindowCenter, header.WindowWidth = 2 ** (BITS - 1), 2**BITS
    header.PixelData = levels.tobytes()
    header["PixelData"].VR = "OW"
    return header
