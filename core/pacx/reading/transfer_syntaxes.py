"""The transfer syntaxes that are read: an allow-list (PS3.5 annex A, PS3.6 annex A)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pacx.errors import MalformedImage, UnsupportedTransferSyntax

Compression = Literal["none", "rle", "jpeg", "jpeg-ls", "jpeg-2000"]


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """One way of writing a data set and its pixels.

    Attributes:
        uid: Unique identifier.
        name: As PS3.6 calls it.
        compression: Family of the pixel data's compression.
        big_endian: Byte order of the data set.
        deflated: Whether the whole data set is deflated.
        lossy: Whether pixels may differ from those that were encoded.
    """

    uid: str
    name: str
    compression: Compression = "none"
    big_endian: bool = False
    deflated: bool = False
    lossy: bool = False


_SYNTAXES = (
    TransferSyntax("1.2.840.10008.1.2", "Implicit VR Little Endian"),
    TransferSyntax("1.2.840.10008.1.2.1", "Explicit VR Little Endian"),
    TransferSyntax("1.2.840.10008.1.2.1.99", "Deflated Explicit VR Little Endian", deflated=True),
    TransferSyntax("1.2.840.10008.1.2.2", "Explicit VR Big Endian", big_endian=True),
    TransferSyntax("1.2.840.10008.1.2.5", "RLE Lossless", "rle"),
    TransferSyntax("1.2.840.10008.1.2.4.50", "JPEG Baseline (Process 1)", "jpeg", lossy=True),
    TransferSyntax("1.2.840.10008.1.2.4.51", "JPEG Extended (Process 2 and 4)", "jpeg", lossy=True),
    TransferSyntax(
        "1.2.840.10008.1.2.4.57", "JPEG Lossless, Non-Hierarchical (Process 14)", "jpeg"
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.4.70",
        "JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14, Selection Value 1)",
        "jpeg",
    ),
    TransferSyntax("1.2.840.10008.1.2.4.80", "JPEG-LS Lossless", "jpeg-ls"),
    TransferSyntax(
        "1.2.840.10008.1.2.4.81", "JPEG-LS Lossy (Near-Lossless)", "jpeg-ls", lossy=True
    ),
    TransferSyntax("1.2.840.10008.1.2.4.90", "JPEG 2000 (Lossless Only)", "jpeg-2000"),
    TransferSyntax("1.2.840.10008.1.2.4.91", "JPEG 2000", "jpeg-2000", lossy=True),
    TransferSyntax(
        "1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000 (Lossless Only)", "jpeg-2000"
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.4.202",
        "High-Throughput JPEG 2000 with RPCL Options (Lossless Only)",
        "jpeg-2000",
    ),
    TransferSyntax("1.2.840.10008.1.2.4.203", "High-Throughput JPEG 2000", "jpeg-2000", lossy=True),
)
TRANSFER_SYNTAXES = {syntax.uid: syntax for syntax in _SYNTAXES}


def transfer_syntax(uid: str | None) -> TransferSyntax:
    """Look up a transfer syntax.

    Raises:
        MalformedImage: The file names none.
        UnsupportedTransferSyntax: It is not on the list.
    """
    if uid is None:
        raise MalformedImage("The file meta group names no transfer syntax.")
    if uid not in TRANSFER_SYNTAXES:
        names = "; ".join(syntax.name for syntax in TRANSFER_SYNTAXES.values())
        raise UnsupportedTransferSyntax(f"Supported are: {names}.")
    return TRANSFER_SYNTAXES[uid]
