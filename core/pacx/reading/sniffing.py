"""Which format a file has, by its content alone."""

from __future__ import annotations

from typing import Literal

from pacx.errors import EmptyBody, NotAnImage
from pacx.reading.content import Content

Format = Literal["dicom", "png", "jpeg", "tiff"]

PREAMBLE_BYTES = 128
_META_GROUP = b"\x02\x00"
_SIGNATURES: tuple[tuple[bytes, Format], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
)


def sniff(content: Content) -> Format:
    """Name the format of a file.

    A DICOM file carries ``DICM`` behind a preamble of 128 bytes (PS3.10 section 7.1). Some
    archives drop the preamble, so a file that begins with the file meta group (0002,eeee) counts
    as DICOM too; whether that group parses is found out when it is read. ``DICM`` comes first,
    because a preamble may hold the signature of another format (PS3.10 section 7.1, for TIFF).

    Raises:
        EmptyBody: There are no bytes.
        NotAnImage: None of the formats that PaCX reads.
    """
    if not content:
        raise EmptyBody("The file is empty.")
    if content[PREAMBLE_BYTES : PREAMBLE_BYTES + 4] == b"DICM":
        return "dicom"
    for signature, name in _SIGNATURES:
        if content[: len(signature)] == signature:
            return name
    if lacks_preamble(content):
        return "dicom"
    raise NotAnImage("Only DICOM, PNG, JPEG and 16-bit grey TIFF files are read.")


def lacks_preamble(content: Content) -> bool:
    """Whether the file begins at once with ``DICM`` or with a file meta element.

    A file meta element is in explicit VR little endian, so two capital letters name its VR.
    """
    first = content[:6]
    return first[:4] == b"DICM" or (
        first[:2] == _META_GROUP and first[4:6].isalpha() and first[4:6].isupper()
    )
