"""Embeddings of many files: their order, their requests, and the files that failed."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacx_client import Embedding, InvalidInput, ModelChanged, Problem
from pacx_client._requests import MOST_FILES
from pacx_client._uploads import batches, upload
from tests.clients import examples
from tests.clients.conftest import Asker
from tests.clients.loopback import Answer, Loopback

BAD: examples.Json = {"status": 400, "code": "truncated", "detail": "Ends too early."}


def _answer(count: int, start: int = 0, *, sha256: str = "a" * 64) -> Answer:
    vectors = [[float(start + index), 0.5] for index in range(count)]
    return Answer.of_json(examples.embeddings(*vectors, sha256=sha256))


def test_a_long_list_is_cut_and_its_order_kept(loopback: Loopback, ask: Asker) -> None:
    files = [f"film {index:03d}".encode() for index in range(MOST_FILES + 3)]
    loopback.answers = [_answer(MOST_FILES), _answer(3, start=MOST_FILES)]
    answer = ask(loopback.url, lambda client: client.embed(files, pooling="mean"))
    sent = b"".join(request.body for request in loopback.received)
    places = [sent.index(file) for file in files]
    assert places == sorted(places)
    assert [item.index for item in answer] == list(range(len(files)))
    assert [vector[0] for vector in answer.vectors()] == [float(n) for n in range(len(files))]
    assert loopback.received[0].target == "/embeddings?pooling=mean"


def test_they_carry_their_model_and_become_an_array(loopback: Loopback, ask: Asker) -> None:
    loopback.answers = [_answer(2)]
    answer = ask(loopback.url, lambda client: client.embed([b"one", b"two"]))
    assert (answer.model.name, answer.model.version) == ("pacx-small", "1.0")
    assert answer.model.sha256 == "a" * 64
    array = np.asarray(answer)
    assert array.dtype == np.float32
    assert array.shape == (2, 2)
    assert np.asarray(answer, dtype=np.float64).tolist() == [[0.0, 0.5], [1.0, 0.5]]
    with pytest.raises(ValueError, match="copy"):
        np.array(answer, copy=False)
    assert (len(answer), answer[1].embedding) == (2, (1.0, 0.5))


@pytest.mark.parametrize("file", [b"one", io.BytesIO(b"one")])
def test_one_file_needs_no_list(loopback: Loopback, ask: Asker, file: bytes | io.BytesIO) -> None:
    loopback.answers = [_answer(1)]
    assert len(ask(loopback.url, lambda client: client.embed(file))) == 1


def test_a_bad_file_leaves_the_others_alone(loopback: Loopback, ask: Asker) -> None:
    loopback.answers = [Answer.of_json(examples.embeddings([1.0, 2.0], BAD, [3.0, 4.0]))]
    answer = ask(loopback.url, lambda client: client.embed([b"one", b"two", b"three"]))
    problem = Problem(status=400, code="truncated", detail="Ends too early.")
    assert answer.failed == (Embedding(index=1, error=problem),)
    assert answer[2].embedding == (3.0, 4.0)
    with pytest.raises(InvalidInput, match="400 truncated: Ends too early"):
        answer.vectors()
    with pytest.raises(InvalidInput):
        np.asarray(answer)


def test_two_models_are_never_mixed(loopback: Loopback, ask: Asker) -> None:
    loopback.answers = [_answer(MOST_FILES), _answer(1, sha256="b" * 64)]
    with pytest.raises(ModelChanged):
        ask(loopback.url, lambda client: client.embed([b"film"] * (MOST_FILES + 1)))


def test_no_file_is_no_question(loopback: Loopback, ask: Asker) -> None:
    with pytest.raises(ValueError, match="at least one file"):
        ask(loopback.url, lambda client: client.embed([]))
    assert loopback.received == []


@given(st.lists(st.integers(0, 50)), st.integers(1, 5), st.integers(1, 100))
def test_batches_lose_nothing_and_keep_their_bounds(
    sizes: list[int], most_files: int, most_bytes: int
) -> None:
    files = [upload(bytes(size)) for size in sizes]
    cut = list(batches(files, most_files=most_files, most_bytes=most_bytes))
    assert [file for batch in cut for file in batch] == files
    for batch in cut:
        assert 1 <= len(batch) <= most_files
        assert len(batch) == 1 or sum(file.size_bytes() for file in batch) <= most_bytes
