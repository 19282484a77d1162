"""Heads of requests: slow, endless and broken ones are refused, and nobody else notices."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.live_server import LiveServer, running
from tests.server.conftest import Launch
from tests.server.test_decoding import large_png
from tests.server.test_problems import read_answer

TIMEOUT_S = 0.5
LIVE = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture(scope="module")
def server(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    settings = {"PACX_BUNDLES": str(tiny), "PACX_HEADER_TIMEOUT_S": str(TIMEOUT_S)}
    with running(tmp_path_factory.mktemp("heads"), settings) as process:
        yield process


@contextmanager
def connected(server: LiveServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        yield connection


def upload(size_bytes: int) -> bytes:
    """The head of a request with a film of so many bytes."""
    head = (
        "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\n"
        f"content-length: {size_bytes}\r\n\r\n"
    )
    return head.encode()


def check(answer: bytes, status: int, code: str) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"content-type: application/problem+json" in head
    problem = json.loads(body)
    assert (problem["status"], problem["code"]) == (status, code)
    assert f"x-request-id: {problem['request_id']}".encode() in head
    assert b"x-content-type-options: nosniff" in head
    assert b"cache-control: no-store" in head


def test_half_a_head(server: LiveServer) -> None:
    with connected(server) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\n")
        check(read_answer(connection), 408, "header_timeout")
    text = httpx.get(f"{server.url}/metrics").text
    assert 'pacx_requests_total{outcome="header_timeout",route="none"}' in text


def test_a_head_that_trickles(server: LiveServer) -> None:
    with connected(server) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nx: ")
        connection.setblocking(False)
        deadline = time.monotonic() + 60
        while True:
            assert time.monotonic() < deadline
            time.sleep(TIMEOUT_S / 10)
            try:
                answer = connection.recv(65536)
                break
            except BlockingIOError:
                connection.send(b"y")
    check(answer, 408, "header_timeout")


def test_a_connection_without_a_byte_is_closed_without_a_word(server: LiveServer) -> None:
    with connected(server) as connection:
        assert read_answer(connection) == b""


@pytest.mark.parametrize("more", [b"GET /livez HTTP/1.1\r\n", b"\r\n"])
def test_a_further_request_of_a_connection_has_no_more_time(
    server: LiveServer, more: bytes
) -> None:
    with connected(server) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
        while b'"alive"}' not in connection.recv(65536):
            pass
        connection.sendall(more)
        check(read_answer(connection), 408, "header_timeout")


def test_an_idle_connection_may_be_used_again_later(server: LiveServer) -> None:
    with httpx.Client(base_url=server.url) as client:
        for _ in range(2):
            answer = client.get("/livez")
            time.sleep(2 * TIMEOUT_S)
        (connection,) = client._transport._pool.connections  # type: ignore[attr-defined]
        assert connection._connection._request_count == 2
    assert answer.is_success


def test_a_head_that_comes_before_its_turn_does_no_harm(server: LiveServer) -> None:
    film = large_png()
    with connected(server) as connection:
        connection.sendall(upload(len(film)) + film + b"GET /livez HTTP/1.1\r\n")
        answers = read_answer(connection)
    first, _, second = answers.rpartition(b"HTTP/1.1 408")
    assert first.startswith(b"HTTP/1.1 ")
    assert b'"timing_ms"' in first or b'"code"' in first
    assert b"header_timeout" in second


def test_a_head_may_begin_right_behind_a_long_body(server: LiveServer) -> None:
    with ExitStack() as stack:
        connections = [stack.enter_context(connected(server)) for _ in range(8)]
        for number, connection in enumerate(connections):
            film = bytes(100_000 + 20_000 * number)
            connection.sendall(upload(len(film)) + film + b"GET /livez HTTP/1.1\r\n")
        for connection in connections:
            codes = re.findall(rb'"code": ?"(\w+)"', read_answer(connection))
            assert codes == [b"not_an_image", b"header_timeout"]


def test_what_cannot_be_read_waits_for_the_answers_before_it(server: LiveServer) -> None:
    with connected(server) as connection:
        connection.sendall(upload(1000) + bytes(1000) + LIVE + b"DOE^JANE\r\n\r\n")
        answers = read_answer(connection)
    first, second, third = answers.split(b"HTTP/1.1 ")[1:]
    assert b"not_an_image" in first
    assert b'"alive"}' in second
    assert third.startswith(b"400 ")
    assert b"malformed_request" in third
    assert b"JANE" not in answers


@pytest.mark.parametrize("before", [b"", LIVE])
def test_a_body_whose_chunks_are_broken(server: LiveServer, before: bytes) -> None:
    head = (
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\n"
        b"transfer-encoding: chunked\r\n\r\n"
    )
    with connected(server) as connection:
        connection.sendall(before + head + b"4\r\nDOE^\r\nJANE\r\n")
        answers = read_answer(connection).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"200"] * bool(before) + [b"400"]
    assert b"malformed_request" in answers[-1]


CHUNKED = (
    b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\n"
    b"transfer-encoding: chunked\r\n\r\n4\r\nnone\r\n"
)


@pytest.mark.parametrize(
    "endless",
    [(b"0\r\n", b"x-trailer: DOE^JANE\r\n"), (b"0\r\nx-trailer: ", b"y"), (b"4;", b"y")],
    ids=["trailers", "one trailer", "extension of a chunk"],
)
def test_a_body_whose_framing_has_no_end(
    server: LiveServer, endless: tuple[bytes, bytes], phantom_dicom: bytes
) -> None:
    begin, more = endless
    with connected(server) as connection:
        connection.sendall(CHUNKED + begin)
        time.sleep(0.1)  # so that what follows comes without a byte of the body
        connection.sendall(more * (1_000_000 // len(more)))
        answer = read_answer(connection)
    check(answer, 431, "head_too_large")
    assert b"JANE" not in answer
    film = {"file": phantom_dicom}
    assert httpx.post(f"{server.url}/predict", files=film, timeout=60).is_success


def test_chunks_with_extensions_and_a_few_trailers_are_read(
    server: LiveServer, phantom_dicom: bytes
) -> None:
    head = CHUNKED.partition(b"4\r\n")[0].replace(b"image/png", b"application/dicom")
    half = len(phantom_dicom) // 2
    chunks = [
        b"%x;name=value\r\n" % len(part) + part + b"\r\n"
        for part in (phantom_dicom[:half], phantom_dicom[half:])
    ]
    last = LIVE.replace(b"host: x", b"host: x\r\nconnection: close")
    with connected(server) as connection:
        connection.sendall(head + b"".join(chunks) + b"0\r\nx-digest: 1\r\n\r\n" + last)
        answers = read_answer(connection).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"200", b"200"]


def test_a_key_behind_the_body_lets_nobody_in(launch: Launch) -> None:
    """It has passed no proxy's rules for heads, and a head is complete before its body."""
    digest = hashlib.sha256(b"a key").hexdigest()
    server = launch(api_keys=json.dumps([{"name": "ward", "sha256": digest}]))
    with connected(server) as connection:
        connection.sendall(CHUNKED + b"0\r\nx-api-key: a key\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")


def test_a_body_has_its_own_time(server: LiveServer, phantom_dicom: bytes) -> None:
    head = (
        "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/dicom\r\n"
        f"connection: close\r\ncontent-length: {len(phantom_dicom)}\r\n\r\n"
    )
    with connected(server) as connection:
        connection.sendall(head.encode())
        time.sleep(2 * TIMEOUT_S)
        connection.sendall(phantom_dicom)
        assert read_answer(connection).startswith(b"HTTP/1.1 200")


def test_a_head_without_end(server: LiveServer) -> None:
    with connected(server) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\n")
        line = b"x-header: " + b"y" * 8180 + b"\r\n"
        for _ in range(8):
            connection.sendall(line)
        check(read_answer(connection), 431, "head_too_large")


def test_a_head_without_end_is_refused_in_full_view_of_the_client(server: LiveServer) -> None:
    with connected(server) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nx-header: " + b"y" * 1_000_000)
        check(read_answer(connection), 431, "head_too_large")


def test_what_is_no_http(server: LiveServer) -> None:
    with connected(server) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00 DOE^JANE\r\n\r\n")
        answer = read_answer(connection)
    check(answer, 400, "malformed_request")
    assert b"JANE" not in answer
