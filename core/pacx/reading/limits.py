"""How much of a file is read, and what else is accepted: configuration of the reader."""

from __future__ import annotations

from dataclasses import dataclass

RADIOGRAPHY_MODALITIES = frozenset({"CR", "DX", "RG", "DR"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingLimits:
    """Bounds that are checked before anything is allocated.

    Attributes:
        file_bytes: Longest file that is looked at.
        pixels: Largest product of rows and columns.
        inflated_bytes: Longest data set after inflating a deflated transfer syntax.
        elements: Most DICOM elements and sequence items, at every level together, that come
            before the pixel data.
        depth: Deepest nesting of DICOM sequences.
        scans: Most scans in one JPEG codestream; every scan is a pass over all pixels.
    """

    file_bytes: int = 64_000_000
    pixels: int = 64_000_000
    inflated_bytes: int = 132_000_000
    elements: int = 20_000
    depth: int = 16
    scans: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingOptions:
    """What is accepted as a chest radiograph.

    Attributes:
        refuse_lateral: Refuse lateral views instead of warning about them.
        allow_for_processing: Accept Presentation Intent Type FOR PROCESSING, with a warning.
        modalities: DICOM modalities that are accepted; an absent modality always is.
        any_body_part: Accept a Body Part Examined that is not the chest, with a warning.
    """

    refuse_lateral: bool = False
    allow_for_processing: bool = False
    modalities: frozenset[str] = RADIOGRAPHY_MODALITIES
    any_body_part: bool = False


DEFAULT_LIMITS = ReadingLimits()
DEFAULT_OPTIONS = ReadingOptions()
