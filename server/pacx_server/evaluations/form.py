"""The one file of a form, as its bytes come (RFC 7578)."""

from __future__ import annotations

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.datastructures import Headers

from pacx.errors import MalformedRequest
from pacx_server.preamble import Preamble

NAME = b"file"
LONGEST_HEADER_BYTES = 4096
MOST_PARTS = 16


class FormFile:
    """Takes the bytes of a form and gives those of its part ``file``.

    Args:
        headers: Of the request.

    Raises:
        MalformedRequest: The form has no boundary.
    """

    def __init__(self, headers: Headers) -> None:
        _, parameters = parse_options_header(headers.get("content-type", ""))
        boundary = parameters.get(b"boundary")
        if not boundary:
            raise MalformedRequest("Missing boundary in multipart.")
        self._preamble = Preamble(headers.get("content-type", ""))
        self._field = b""
        self._value = b""
        self._parts = 0
        self._files = 0
        self._inside = False
        self._ended = False
        self._found: list[bytes] = []
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._name_header,
                "on_header_value": self._read_header,
                "on_header_end": self._end_header,
                "on_part_data": self._take,
                "on_end": self._end,
            },
        )

    def feed(self, chunk: bytes) -> bytes:
        """Read on; gives what belongs to the file.

        Raises:
            MalformedRequest: The form is broken, or has two files or too many parts.
        """
        try:
            self._parser.write(self._preamble.feed(chunk))
        except FormParserError as error:
            raise MalformedRequest("The multipart form is malformed.") from error
        found = b"".join(self._found)
        self._found.clear()
        return found

    def close(self) -> None:
        """Say that there is no more.

        Raises:
            MalformedRequest: The form ends in the middle.
        """
        if not self._ended:
            raise MalformedRequest("The multipart form ends in the middle.")

    def _end(self) -> None:
        self._ended = True

    def _begin(self) -> None:
        self._parts += 1
        self._inside = False
        if self._parts > MOST_PARTS:
            raise MalformedRequest("Too many parts in the form.")

    def _name_header(self, data: bytes, start: int, end: int) -> None:
        self._field = self._limited(self._field + data[start:end])

    def _read_header(self, data: bytes, start: int, end: int) -> None:
        self._value = self._limited(self._value + data[start:end])

    def _end_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            _, parameters = parse_options_header(self._value)
            self._inside = parameters.get(b"name") == NAME
            self._files += self._inside
        self._field = self._value = b""
        if self._files > 1:
            raise MalformedRequest("Send one file.")

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._inside:
            self._found.append(data[start:end])

    @staticmethod
    def _limited(text: bytes) -> bytes:
        if len(text) > LONGEST_HEADER_BYTES:
            raise MalformedRequest("A header of the form is too long.")
        return text
