"""The image pixel module: how a file describes its stored pixels (PS3.3 section C.7.6.3)."""

from __future__ import annotations

from dataclasses import dataclass

from pacx.errors import MalformedImage, MultiFrame, NoPixelData, TooLarge, TooSmall, UnusableImage
from pacx.radiograph import MINIMUM_SIDE_PX
from pacx.reading import tags
from pacx.reading.limits import ReadingLimits
from pacx.reading.values import Values

_SAMPLES = {
    "MONOCHROME1": 1,
    "MONOCHROME2": 1,
    "PALETTE COLOR": 1,
    "RGB": 3,
    "YBR_FULL": 3,
    "YBR_FULL_422": 3,
    "YBR_ICT": 3,
    "YBR_RCT": 3,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Checked attributes of the stored picture.

    Attributes:
        rows: Height in pixels.
        columns: Width in pixels.
        photometric: Photometric Interpretation.
        samples: Samples per pixel, 1 or 3.
        planar: Whether colour planes follow one another.
        bits_allocated: 8 or 16.
        bits_stored: 1 to ``bits_allocated``.
        high_bit: Most significant stored bit.
        signed: Two's complement.
    """

    rows: int
    columns: int
    photometric: str
    samples: int
    planar: bool
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool

    @property
    def nbytes(self) -> int:
        """Bytes of one uncompressed frame."""
        if self.photometric == "YBR_FULL_422":
            return self.rows * self.columns * 2
        return self.rows * self.columns * self.samples * self.bits_allocated // 8


def check_has_pixels(values: Values) -> None:
    """Tell reports, key objects and the like from pictures.

    Raises:
        NoPixelData: The object holds no picture, or one of floats.
    """
    if tags.PIXEL_DATA not in values:
        raise NoPixelData("The DICOM object holds no pixel data.")


def read_picture(values: Values, limits: ReadingLimits) -> Picture:
    """Check the image pixel module before any pixel is touched.

    Raises:
        MultiFrame: More than one frame.
        TooLarge, TooSmall: Rows and columns beyond the limits.
        MalformedImage: An attribute is missing or contradicts another.
        UnusableImage: A kind of pixel that no radiograph has.
    """
    _check_one_frame(values)
    rows, columns = _size(values, limits)
    photometric = values.text(tags.PHOTOMETRIC_INTERPRETATION)
    if photometric is None:
        raise MalformedImage("There is no photometric interpretation.")
    if photometric not in _SAMPLES:
        raise UnusableImage(f"Photometric interpretations that are read: {', '.join(_SAMPLES)}.")
    samples = _required(values, tags.SAMPLES_PER_PIXEL)
    if samples != _SAMPLES[photometric]:
        raise MalformedImage("Samples per pixel contradict the photometric interpretation.")
    allocated, stored, high = _bits(values)
    return Picture(
        rows=rows,
        columns=columns,
        photometric=photometric,
        samples=samples,
        planar=values.integer(tags.PLANAR_CONFIGURATION) == 1,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high,
        signed=values.integer(tags.PIXEL_REPRESENTATION) == 1,
    )


def _check_one_frame(values: Values) -> None:
    frames = values.decimal(tags.NUMBER_OF_FRAMES)
    if frames is not None and frames > 1:
        raise MultiFrame("The file holds more than one frame; send one radiograph.")


def _size(values: Values, limits: ReadingLimits) -> tuple[int, int]:
    rows, columns = _required(values, tags.ROWS), _required(values, tags.COLUMNS)
    check_size(rows, columns, limits)
    return rows, columns


def check_size(rows: int, columns: int, limits: ReadingLimits) -> None:
    """Refuse sizes before anything is allocated for them.

    Raises:
        MalformedImage: No rows or no columns.
        TooLarge: More pixels than ``limits.pixels``.
        TooSmall: A side is shorter than ``MINIMUM_SIDE_PX``.
    """
    if rows < 1 or columns < 1:
        raise MalformedImage("The picture has no rows or no columns.")
    if rows * columns > limits.pixels:
        raise TooLarge(f"The picture has more than {limits.pixels} pixels.")
    if min(rows, columns) < MINIMUM_SIDE_PX:
        raise TooSmall(f"Both sides must have at least {MINIMUM_SIDE_PX} pixels.")


def _bits(values: Values) -> tuple[int, int, int]:
    """Bits allocated, bits stored, high bit (PS3.5 section 8.1.1)."""
    allocated = _required(values, tags.BITS_ALLOCATED)
    if allocated not in (8, 16):
        raise UnusableImage("Only 8 or 16 bits allocated are read.")
    stored = values.integer(tags.BITS_STORED) or allocated
    high = values.integer(tags.HIGH_BIT)
    high = stored - 1 if high is None else high
    if not 1 <= stored <= allocated or not stored - 1 <= high < allocated:
        raise MalformedImage("Bits stored and high bit do not fit into the bits allocated.")
    return allocated, stored, high


def _required(values: Values, tag: int) -> int:
    value = values.integer(tag)
    if value is None:
        raise MalformedImage(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) is missing.")
    return value
