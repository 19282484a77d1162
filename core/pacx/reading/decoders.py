"""Which codec decodes which transfer syntax, and the calls to them.

One decoder serves one family of syntaxes: the fastest by ``benchmarks/decode.py`` of those that
report a damaged codestream. A second try with another codec would double both the time and the
attack surface of a bad file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from pacx.errors import PixelDataCorrupt
from pacx.reading.completeness import check_complete
from pacx.reading.failures import reported_as
from pacx.reading.transfer_syntaxes import TRANSFER_SYNTAXES, Compression


@dataclass(frozen=True, slots=True)
class Frame:
    """What a codec must deliver.

    Attributes:
        rows: Height in pixels.
        columns: Width in pixels.
        samples: Samples of a pixel.
        bytes_per_sample: 1 or 2.
        photometric: Photometric Interpretation.
        lossless_jpeg: Whether the codestream is JPEG of process 14.
    """

    rows: int
    columns: int
    samples: int
    bytes_per_sample: int
    photometric: str
    lossless_jpeg: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes of the decoded frame."""
        return self.rows * self.columns * self.samples * self.bytes_per_sample

    @property
    def shape(self) -> tuple[int, ...]:
        """``(rows, columns)`` for grey, ``(rows, columns, samples)`` for colour."""
        grey = (self.rows, self.columns)
        return grey if self.samples == 1 else (*grey, self.samples)


_COLOUR_MARKER_BYTES = 4096

Stored = NDArray[np.integer[Any]]
Decode = Callable[[bytes, Frame], Stored]


@dataclass(frozen=True, slots=True)
class Decoder:
    """Who decodes a transfer syntax.

    Attributes:
        transfer_syntax: Unique identifier.
        name: Of the transfer syntax.
        library: Name and version of the codec.
    """

    transfer_syntax: str
    name: str
    library: str


def _rle(stream: bytes, frame: Frame) -> Stored:
    """RLE planes, most significant byte first (PS3.5 annex G)."""
    dtype = np.dtype("<u2" if frame.bytes_per_sample == 2 else "u1")
    decoded = imagecodecs.dicomrle_decode(stream, dtype, out=frame.nbytes)
    planes = np.frombuffer(decoded, dtype=dtype)
    if frame.samples == 1:
        return planes.reshape(frame.shape)
    return np.moveaxis(planes.reshape(frame.samples, frame.rows, frame.columns), 0, -1)


def _jpeg(stream: bytes, frame: Frame) -> Stored:
    """Lossy and lossless."""
    run = partial(imagecodecs.jpeg8_decode, **_colour_spaces(stream, frame))
    pixels = cast(Stored, run(stream))
    check_complete(stream, pixels, run, always=frame.lossless_jpeg)
    return pixels


def _colour_spaces(stream: bytes, frame: Frame) -> dict[str, Any]:
    """Of YCbCr only the luminance is decoded, which is all that is asked for.

    A codestream that names its own colours (JFIF, Adobe) is believed more than the header. The
    lossless process converts no colours: there all samples are decoded as they are.
    """
    if frame.samples == 1:
        return {}
    if frame.lossless_jpeg:
        return {"colorspace": "RGB", "outcolorspace": "RGB"}
    if frame.photometric != "RGB":
        return {"outcolorspace": "GRAYSCALE"}
    head = stream[:_COLOUR_MARKER_BYTES]
    return {} if b"JFIF\0" in head or b"Adobe" in head else {"colorspace": "RGB"}


def _jpeg_ls(stream: bytes, _: Frame) -> Stored:
    return cast(Stored, imagecodecs.jpegls_decode(stream))


def _jpeg_2000(stream: bytes, _: Frame) -> Stored:
    """HTJ2K too: OpenJPEG reports a truncated codestream, which others decode in part."""
    return cast(Stored, imagecodecs.jpeg2k_decode(stream))


_DECODERS: dict[Compression, tuple[Decode, Callable[[], str]]] = {
    "rle": (_rle, imagecodecs.imcd_version),
    "jpeg": (_jpeg, imagecodecs.jpeg8_version),
    "jpeg-ls": (_jpeg_ls, imagecodecs.jpegls_version),
    "jpeg-2000": (_jpeg_2000, imagecodecs.jpeg2k_version),
}


def decode(compression: Compression, stream: bytes, frame: Frame) -> Stored:
    """Decode one compressed frame.

    Returns:
        Integers of one or two bytes in ``frame.shape``.

    Raises:
        PixelDataCorrupt: The codec refused the codestream, or delivered another picture.
    """
    run, _ = _DECODERS[compression]
    with reported_as(PixelDataCorrupt, "The pixel data cannot be decoded."):
        pixels = run(stream, frame)
    if pixels.shape[:2] != frame.shape[:2] or pixels.dtype.kind not in "iu":
        raise PixelDataCorrupt("The decoded picture is not of the declared size.")
    return pixels


def library(compression: Compression) -> str:
    """Name and version of the library that decodes a family of syntaxes."""
    return f"numpy {np.__version__}" if compression == "none" else _DECODERS[compression][1]()


def available_decoders() -> tuple[Decoder, ...]:
    """Every transfer syntax that is read, with the codec that serves it on this machine."""
    return tuple(
        Decoder(syntax.uid, syntax.name, library(syntax.compression))
        for syntax in TRANSFER_SYNTAXES.values()
    )
