"""The body of a request -> files, with every limit checked as early as it can be.

Files stay in memory: nothing of a patient is written to a disk here.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from pacx.errors import BodyTimeout, EmptyBody, MalformedRequest, TooLarge, UnsupportedMediaType
from pacx_server.admission import Ticket
from pacx_server.pieces import File, Pieces
from pacx_server.preamble import without_preamble

RAW_TYPES = ("application/dicom", "image/png", "image/jpeg", "image/tiff")
FORM_TYPE = "multipart/form-data"
FORM_OVERHEAD_BYTES = 64 * 1024
LONGEST_REFERENCE = 256
LONGEST_FIELD_BYTES = 4096
MOST_FIELDS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadLimits:
    """What one request may send.

    Attributes:
        files: Number of files.
        file_bytes: Longest file.
        body_bytes: Longest body.
        timeout_s: From the request line to the end of the body.
    """

    files: int
    file_bytes: int
    body_bytes: int
    timeout_s: float

    def body_limit_bytes(self, headers: Headers) -> int:
        """Longest body of a type: one that is the file itself may be no longer than a file."""
        if media_type(headers) in RAW_TYPES:
            return min(self.file_bytes, self.body_bytes)
        return self.body_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What a caller sent.

    Attributes:
        files: In the order in which they came; at least one.
        reference: The form field of that name, echoed in the answer.
    """

    files: tuple[File, ...]
    reference: str | None


def check_headers(headers: Headers, limits: UploadLimits) -> int:
    """Refuse a body for what its headers say, before any of it is read.

    Returns:
        The declared length in bytes, 0 where it is not declared.

    Raises:
        UnsupportedMediaType: Neither a form nor a format that is read, or a content coding.
        EmptyBody: The declared length is 0.
        TooLarge: The declared length is over the limit.
    """
    check_coding(headers)
    declared = check_length(headers, limits.body_limit_bytes(headers))
    if media_type(headers) not in (*RAW_TYPES, FORM_TYPE):
        raise UnsupportedMediaType(
            f"Send one of {', '.join(RAW_TYPES)}, or {FORM_TYPE} with a part named file."
        )
    return declared


def check_coding(headers: Headers) -> None:
    """Refuse compressed bodies, which could be bombs.

    Raises:
        UnsupportedMediaType: There is a content coding.
    """
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("Send the body without a content coding.")


def check_length(headers: Headers, limit_bytes: int) -> int:
    """Refuse a body for its declared length; returns that length, 0 where none is declared.

    Raises:
        EmptyBody: The length is 0.
        TooLarge: The length is over the limit.
    """
    if "content-length" not in headers:
        if "transfer-encoding" not in headers:
            raise EmptyBody("The request has no body.")
        return 0
    declared = int(headers["content-length"])
    if declared == 0:
        raise EmptyBody("The body is empty.")
    if declared > limit_bytes:
        raise TooLarge(f"The body may have at most {limit_bytes} bytes.")
    return declared


def media_type(headers: Headers) -> str:
    """The request's media type without its parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_upload(
    request: Request, limits: UploadLimits, ticket: Ticket, *, declared: int
) -> Upload:
    """Read all files of a request.

    Raises:
        EmptyBody: There is no file, or one without a byte.
        MalformedRequest: The form is broken, or holds more files than are meant.
        TooLarge: The body or a file is over its limit.
        BodyTimeout: The body came too slowly.
        QueueFull: An undeclared body does not fit beside those in work.
    """
    body = _counted(request, limits.body_limit_bytes(request.headers), ticket, declared)
    async with _in_time(limits.timeout_s):
        if media_type(request.headers) == FORM_TYPE:
            upload = await _read_form(request.headers, body, limits)
        else:
            file = Pieces([chunk async for chunk in body])
            upload = Upload(files=(file,), reference=None)
    check_files(upload.files, limits)
    return upload


async def read_body(request: Request, limits: UploadLimits, ticket: Ticket, declared: int) -> bytes:
    """Read a body that is no upload; raises as :func:`read_upload` does."""
    async with _in_time(limits.timeout_s):
        return b"".join(
            [chunk async for chunk in _counted(request, limits.body_bytes, ticket, declared)]
        )


@asynccontextmanager
async def _in_time(timeout_s: float) -> AsyncGenerator[None, None]:
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError as error:
        raise BodyTimeout("The request's body did not arrive in time.") from error


async def _counted(
    request: Request, limit_bytes: int, ticket: Ticket, declared: int
) -> AsyncGenerator[bytes, None]:
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > limit_bytes:
            raise TooLarge(f"The body may have at most {limit_bytes} bytes.")
        if not declared:
            ticket.hold(size_bytes=len(chunk))
        yield chunk


class _MemoryParser(MultiPartParser):
    """Starlette's parser, without its temporary files, which knows whether the form has ended."""

    spool_max_size = sys.maxsize
    ended = False

    def on_headers_finished(self) -> None:
        """Take a part named file for one, also without a file name (RFC 7578, section 4.2)."""
        disposition = self._current_part.content_disposition
        _, options = parse_options_header(disposition)
        if options.get(b"name") == b"file" and b"filename" not in options:
            self._current_part.content_disposition = (disposition or b"") + b'; filename=""'
        super().on_headers_finished()

    def on_end(self) -> None:
        super().on_end()
        self.ended = True


async def _read_form(
    headers: Headers, body: AsyncGenerator[bytes, None], limits: UploadLimits
) -> Upload:
    parser = _MemoryParser(
        headers,
        without_preamble(headers.get("content-type", ""), body),
        max_files=limits.files,
        max_fields=MOST_FIELDS,
        max_part_size=LONGEST_FIELD_BYTES,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise MalformedRequest(_reason(error)) from error
    if not parser.ended:
        raise MalformedRequest("The multipart form ends in the middle.")
    return Upload(files=await _files(form), reference=_reference(form))


def _reason(error: MultiPartException) -> str:
    """Keep what Starlette says where it repeats nothing of the body."""
    if error.message.startswith(("Too many", "Missing boundary", "Part exceeded")):
        return error.message
    return "The multipart form is malformed."


async def _files(form: FormData) -> tuple[bytes, ...]:
    files: list[bytes] = []
    for part in form.getlist("file"):
        if isinstance(part, UploadFile):
            files.append(await part.read())
            await part.close()
    if not files:
        raise EmptyBody("The form has no file part named file.")
    return tuple(files)


def _reference(form: FormData) -> str | None:
    reference = form.get("reference")
    if reference is None:
        return None
    if not isinstance(reference, str) or len(reference) > LONGEST_REFERENCE:
        raise MalformedRequest(f"reference is a text of up to {LONGEST_REFERENCE} characters.")
    return reference


def check_files(files: Sequence[File], limits: UploadLimits) -> None:
    """Refuse files for their number or length.

    Raises:
        EmptyBody: There is one file, without a byte.
        MalformedRequest: There are too many.
        TooLarge: One is too long.
    """
    if len(files) > limits.files:
        raise MalformedRequest(f"A request may have at most {limits.files} files.")
    if len(files) == 1 and not files[0]:
        raise EmptyBody("The file is empty.")
    if any(len(file) > limits.file_bytes for file in files):
        raise TooLarge(f"A file may have at most {limits.file_bytes} bytes.")
