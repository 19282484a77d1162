"""Clients that leave: seen in every phase, their places are free again, their mates unharmed."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest

from tests.live_server import LiveServer, limited, running
from tests.server.conftest import Launch
from tests.server.test_decoding import large_png


@pytest.fixture(scope="module")
def server(busy: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    settings = {"PACX_BUNDLES": str(busy), "PACX_MAX_BATCH": "1", "PACX_DECODE_WORKERS": "2"}
    with running(tmp_path_factory.mktemp("connection"), settings) as process:
        yield process


def closed(server: LiveServer) -> float:
    text = httpx.get(f"{server.url}/metrics").text
    found = re.search(r'requests_total\{outcome="client_closed",route="/predict"\} (\S+)', text)
    return float(found.group(1)) if found else 0.0


def idle(server: LiveServer) -> bool:
    text = httpx.get(f"{server.url}/metrics").text
    return "pacx_inflight_images 0.0" in text and "pacx_inflight_bytes 0.0" in text


def until(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happens():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def leave(server: LiveServer, body: bytes, *, declared: int, after_s: float) -> None:
    """Send a body, all or in part, and hang up."""
    head = (
        "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/dicom\r\n"
        f"content-length: {declared}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(head.encode() + body)
        time.sleep(after_s)


def test_during_the_upload(server: LiveServer) -> None:
    before = closed(server)
    leave(server, b"DICM" * 1000, declared=1_000_000, after_s=0.2)
    until(lambda: closed(server) == before + 1)
    assert idle(server)


def test_during_decoding(server: LiveServer) -> None:
    before = closed(server)
    film = large_png()
    leave(server, film, declared=len(film), after_s=0.3)
    until(lambda: closed(server) == before + 1)
    assert idle(server)


def test_while_a_further_request_waits_for_its_turn(server: LiveServer) -> None:
    before = closed(server)
    film = large_png(2000)
    further = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"
    leave(server, film + further, declared=len(film), after_s=0)
    until(lambda: closed(server) == before + 1)
    assert idle(server)


def test_in_the_queue_and_in_the_engine(server: LiveServer, phantom_dicom: bytes) -> None:
    """Some leave among others who stay; those who stay are all answered."""
    before = closed(server)

    def some_left() -> bool:
        mingle(server, phantom_dicom, leaving=5, staying=4)
        return closed(server) > before

    until(some_left)  # on a fast machine all may have their answers before they go
    until(lambda: idle(server))


def mingle(server: LiveServer, file: bytes, *, leaving: int, staying: int) -> None:
    """Send all at once; those who stay must be answered."""
    with ThreadPoolExecutor(leaving + staying) as threads:
        stay = [
            threads.submit(httpx.post, f"{server.url}/predict", files={"file": file}, timeout=60)
            for _ in range(staying)
        ]
        gone = [
            threads.submit(leave, server, file, declared=len(file), after_s=0.05 * number)
            for number in range(leaving)
        ]
        assert [answer.result().status_code for answer in stay] == [200] * staying
        for departure in gone:
            departure.result()


def test_a_kept_connection_survives_answers_without_a_body(server: LiveServer) -> None:
    with httpx.Client(base_url=server.url) as client:
        for _ in range(3):
            answer = client.get("/livez")
            assert "connection" not in answer.headers
            assert client.get("/nothing").status_code == 404


def test_used_up_descriptors_are_said_once_and_connections_wait(launch: Launch) -> None:
    server = launch(program=limited(RLIMIT_NOFILE=64), header_timeout_s=2)
    with httpx.Client(base_url=server.url, timeout=60) as client, ExitStack() as stack:
        assert client.get("/livez").is_success
        for _ in range(100):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        while "no descriptor is left" not in server.text():
            assert client.get("/livez").is_success
        refused = client.post("/models/tiny/reload")
        assert (refused.status_code, refused.json()["code"]) == (409, "reload_refused")
        assert "Too many open files" in refused.json()["detail"]
        assert httpx.get(f"{server.url}/livez", timeout=60).is_success  # once others have gone
    assert server.text().count("descriptor is left") == 1
    assert "out of system resource" not in server.text()
