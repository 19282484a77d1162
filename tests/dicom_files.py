"""DICOM files in every transfer syntax, written with encoders that are not our decoders' twins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import imagecodecs
import jpeg_ls
import numpy as np
from numpy.typing import NDArray
from openjpeg.utils import encode_array
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders.base import get_encoder

from tests.phantom_dicom import chest_header, part10_bytes

Pixels = NDArray[np.integer[Any]]
Encoder = Callable[[Pixels, int], bytes]

NATIVE = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
)
NEAR_LOSSLESS_ERROR = 3


def dicom_file(
    pixels: Pixels,
    *,
    syntax: uid.UID = uid.ExplicitVRLittleEndian,
    bits_stored: int | None = None,
    high_bit: int | None = None,
    codestream: bytes | None = None,
    **elements: object,
) -> bytes:
    """A chest DX file around stored values.

    Args:
        pixels: Stored values ``[rows, columns]`` or ``[rows, columns, 3]``; their type gives bits
            allocated and pixel representation.
        syntax: Transfer syntax.
        bits_stored: All bits of the type where not given.
        high_bit: Where native pixels put the most significant bit.
        codestream: Instead of encoding ``pixels``.
        elements: DICOM keywords that are set last; None deletes an element.
    """
    width = 8 * pixels.dtype.itemsize
    stored = bits_stored or width
    high = stored - 1 if high_bit is None else high_bit
    header = chest_header(pixels.shape)
    header.SamplesPerPixel = 1 if pixels.ndim == 2 else pixels.shape[2]
    header.BitsAllocated, header.BitsStored, header.HighBit = width, stored, high
    header.PixelRepresentation = int(pixels.dtype.kind == "i")
    header.WindowCenter, header.WindowWidth = 2 ** (stored - 1), 2**stored
    if header.SamplesPerPixel > 1:
        header.PhotometricInterpretation, header.PlanarConfiguration = "RGB", 0
    if syntax in NATIVE:
        _set_native(header, pixels, high - stored + 1, syntax)
    else:
        stream = codestream if codestream is not None else ENCODERS[syntax](pixels, stored)
        header.PixelData = encapsulate([stream])
        header["PixelData"].VR = "OB"
        header["PixelData"].is_undefined_length = True
    _override(header, elements)
    return part10_bytes(header, syntax)


def _set_native(header: Dataset, pixels: Pixels, shift: int, syntax: uid.UID) -> None:
    codes = pixels << pixels.dtype.type(shift)
    raw = (codes.byteswap() if syntax == uid.ExplicitVRBigEndian else codes).tobytes()
    header.PixelData = raw + b"\0" * (len(raw) % 2)
    header["PixelData"].VR = "OW" if header.BitsAllocated == 16 else "OB"


def _override(header: Dataset, elements: dict[str, object]) -> None:
    for keyword, value in elements.items():
        if value is not None:
            setattr(header, keyword, value)
        elif keyword in header:
            delattr(header, keyword)


def _rle(pixels: Pixels, bits: int) -> bytes:
    grey = pixels.ndim == 2
    return get_encoder(uid.RLELossless).encode(
        pixels,
        encoding_plugin="pydicom",
        rows=pixels.shape[0],
        columns=pixels.shape[1],
        samples_per_pixel=1 if grey else 3,
        photometric_interpretation="MONOCHROME2" if grey else "RGB",
        bits_allocated=8 * pixels.dtype.itemsize,
        bits_stored=bits,
        pixel_representation=int(pixels.dtype.kind == "i"),
        number_of_frames=1,
        planar_configuration=None if grey else 0,
    )


def _jpeg(pixels: Pixels, bits: int) -> bytes:
    """8 bits or 12, by the type; colour as YCbCr without subsampling."""
    depth = 8 if pixels.dtype.itemsize == 1 else 12
    return bytes(imagecodecs.jpeg8_encode(pixels, 95, bitspersample=depth, subsampling="444"))


def _jpeg_lossless(predictor: int) -> Encoder:
    def encode(pixels: Pixels, bits: int) -> bytes:
        unsigned = pixels.view(f"u{pixels.dtype.itemsize}") & ((1 << bits) - 1)
        return bytes(
            imagecodecs.jpeg8_encode(
                unsigned, lossless=True, predictor=predictor, bitspersample=bits
            )
        )

    return encode


def _jpeg_ls(pixels: Pixels, bits: int) -> bytes:
    return _charls(pixels, bits, 0)


def _jpeg_ls_near(pixels: Pixels, bits: int) -> bytes:
    return _charls(pixels, bits, NEAR_LOSSLESS_ERROR)


def _charls(pixels: Pixels, bits: int, error: int) -> bytes:
    unsigned = pixels.view(f"u{pixels.dtype.itemsize}") & ((1 << bits) - 1)
    mode = None if pixels.ndim == 2 else 2
    return bytes(jpeg_ls.encode_array(unsigned, lossy_error=error, interleave_mode=mode))


def _jpeg_2000(pixels: Pixels, bits: int) -> bytes:
    colour = pixels.ndim == 3
    return bytes(encode_array(pixels, bits, int(colour), use_mct=colour))


def _jpeg_2000_lossy(pixels: Pixels, bits: int) -> bytes:
    return bytes(encode_array(pixels, bits, compression_ratios=[4.0]))


def _htj2k(pixels: Pixels, bits: int) -> bytes:
    return bytes(imagecodecs.htj2k_encode(pixels, reversible=True))


def _htj2k_lossy(pixels: Pixels, bits: int) -> bytes:
    return bytes(imagecodecs.htj2k_encode(pixels, level=0.0005, reversible=False))


LOSSLESS: dict[uid.UID, Encoder] = {
    uid.RLELossless: _rle,
    uid.JPEGLossless: _jpeg_lossless(6),
    uid.JPEGLosslessSV1: _jpeg_lossless(1),
    uid.JPEGLSLossless: _jpeg_ls,
    uid.JPEG2000Lossless: _jpeg_2000,
    uid.HTJ2KLossless: _htj2k,
    uid.HTJ2KLosslessRPCL: _htj2k,
}
LOSSY: dict[uid.UID, Encoder] = {
    uid.JPEGBaseline8Bit: _jpeg,
    uid.JPEGExtended12Bit: _jpeg,
    uid.JPEGLSNearLossless: _jpeg_ls_near,
    uid.JPEG2000: _jpeg_2000_lossy,
    uid.HTJ2K: _htj2k_lossy,
}
ENCODERS = LOSSLESS | LOSSY
