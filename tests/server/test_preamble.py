"""What stands before a form's first boundary is ignored, as RFC 2046 has it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from itertools import pairwise

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from pacx_server.evaluations.form import FormFile
from pacx_server.preamble import LONGEST_PREAMBLE_BYTES, Preamble
from tests.server.test_problems import check

TYPE = 'multipart/form-data; boundary="b-1"'
PREAMBLE = b"This is a message in MIME format.\r\n--b\r\n--- -b-1\r\n"


def form(file: bytes) -> bytes:
    head = b'--b-1\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\n'
    return head + file + b"\r\n--b-1--\r\n"


def fed(body: bytes, cuts: list[int]) -> bytes:
    preamble = Preamble(TYPE)
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    pieces = [preamble.feed(body[a:b]) for a, b in pairwise(edges)]
    return b"".join(pieces) + preamble.close()


@given(
    st.binary(max_size=60).filter(lambda text: b"--b-1" not in text),
    st.binary(max_size=40),
    st.lists(st.integers(0, 999), max_size=6),
)
def test_the_form_is_what_begins_with_its_boundary(
    before: bytes, inside: bytes, cuts: list[int]
) -> None:
    """However the body is cut."""
    assert fed(before + b"\r\n" + form(inside), cuts) == form(inside)
    assert fed(form(inside), cuts) == form(inside)


@given(st.binary(max_size=60).filter(lambda text: b"--b-1" not in text), st.lists(st.integers(0)))
def test_without_a_boundary_nothing_is_lost(body: bytes, cuts: list[int]) -> None:
    assert fed(body, cuts) == body


def in_pieces(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 1000):
        yield body[start : start + 1000]


@pytest.mark.parametrize("before", [b"", b"\r\n", PREAMBLE, PREAMBLE * 100])
def test_a_film_after_a_preamble_is_read(
    http: httpx.Client, phantom_dicom: bytes, before: bytes
) -> None:
    body = in_pieces(before + form(phantom_dicom))
    answer = http.post("/predict", content=body, headers={"content-type": TYPE})
    assert answer.is_success, answer.text


def test_a_preamble_has_an_end(http: httpx.Client) -> None:
    for length, code in (0, "not_an_image"), (1, "malformed_request"):
        body = b"x" * (LONGEST_PREAMBLE_BYTES + length) + b"\r\n" + form(b"film")
        answer = http.post("/predict", content=in_pieces(body), headers={"content-type": TYPE})
        check(answer, 400, code)


def test_archives_of_evaluations_may_have_one_too() -> None:
    archive = io.BytesIO()
    tarfile.open(fileobj=archive, mode="w").close()
    reader = FormFile(Headers({"content-type": TYPE}))
    found = [reader.feed(piece) for piece in in_pieces(PREAMBLE + form(archive.getvalue()))]
    reader.close()
    assert b"".join(found) == archive.getvalue()
