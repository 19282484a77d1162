"""An archive on its way to the disk, piece by piece; memory holds no more than one piece."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.requests import Request

from pacx.errors import (
    BodyTimeout,
    EmptyBody,
    InsufficientStorage,
    TooLarge,
    UnsupportedMediaType,
    is_full,
)
from pacx_server.evaluations.form import FormFile
from pacx_server.uploads import (
    FORM_OVERHEAD_BYTES,
    FORM_TYPE,
    check_coding,
    check_length,
    media_type,
)

ARCHIVE_TYPES = ("application/zip", "application/x-tar", "application/gzip")
PIECE_BYTES = 2**20


def check_archive(request: Request, limit_bytes: int) -> int:
    """Refuse an upload for what its headers say; returns its declared length, 0 where unknown.

    Raises:
        UnsupportedMediaType: Neither a form nor an archive, or a content coding.
        EmptyBody: There is nothing.
        TooLarge: The declared length is over the limit.
    """
    check_coding(request.headers)
    if media_type(request.headers) not in (*ARCHIVE_TYPES, FORM_TYPE):
        raise UnsupportedMediaType(
            f"Send one of {', '.join(ARCHIVE_TYPES)}, {FORM_TYPE} with a part named file, or JSON."
        )
    return check_length(request.headers, limit_bytes + FORM_OVERHEAD_BYTES)


async def receive_archive(
    request: Request, target: Path, *, declared: int, limit_bytes: int, timeout_s: float
) -> None:
    """Write what a caller sends to a new file.

    Raises:
        EmptyBody: There is no file, or one without a byte.
        MalformedRequest: The form is broken.
        TooLarge: It is over the limit.
        BodyTimeout: It came too slowly.
        InsufficientStorage: There is no room for it.
    """
    try:
        if declared > shutil.disk_usage(target.parent).free:
            raise InsufficientStorage("There is no room for this upload.")
        async with asyncio.timeout(timeout_s):
            await _save(_pieces(request), target, limit_bytes)
    except TimeoutError as error:
        raise BodyTimeout("The archive did not arrive in time.") from error
    except OSError as error:
        if not is_full(error):
            raise
        raise InsufficientStorage("There is no room for this upload.") from error


async def receive_text(request: Request, *, limit_bytes: int, timeout_s: float) -> bytes:
    """Read a short body into memory; raises as :func:`receive_archive` does."""
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit_bytes:
                    raise TooLarge(f"The body may have at most {limit_bytes} bytes.")
    except TimeoutError as error:
        raise BodyTimeout("The request's body did not arrive in time.") from error
    return bytes(body)


async def _save(pieces: AsyncIterator[bytes], target: Path, limit_bytes: int) -> None:
    received = 0
    with target.open("xb") as stream:
        async for piece in pieces:
            received += len(piece)
            if received > limit_bytes:
                raise TooLarge(f"An archive may have at most {limit_bytes} bytes.")
            await asyncio.to_thread(stream.write, piece)
    if not received:
        raise EmptyBody("There is no archive in the request, or an empty one.")


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """The archive's bytes in pieces that are worth a write."""
    form = FormFile(request.headers) if media_type(request.headers) == FORM_TYPE else None
    piece = bytearray()
    async for chunk in request.stream():
        piece += form.feed(chunk) if form else chunk
        if len(piece) >= PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    if form:
        form.close()
    yield bytes(piece)
