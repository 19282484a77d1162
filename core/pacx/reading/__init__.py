"""Bytes to radiographs: every format and fault that hospitals and attackers send."""

from pacx.reading.decoders import Decoder, available_decoders
from pacx.reading.limits import ReadingLimits, ReadingOptions
from pacx.reading.reader import read

__all__ = ["Decoder", "ReadingLimits", "ReadingOptions", "available_decoders", "read"]
