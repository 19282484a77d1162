"""Base64 as RFC 4648 has it: no foreign characters, nothing left out."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema


def decode_base64(text: object) -> bytes:
    """Turn base64 into bytes.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(text, str):
        raise ValueError("base64 is a text")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not base64") from error


Base64Bytes = Annotated[
    bytes,
    BeforeValidator(decode_base64),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]
