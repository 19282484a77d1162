"""Many at once: batches form, probes keep answering, and nobody is forgotten."""

from __future__ import annotations

import asyncio
import math
import re
import statistics
import time

import httpx

from tests.server.conftest import Launch


def metric(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found, f"{name} is not among the metrics"
    return float(found.group(1))


def test_64_uploads_at_once(launch: Launch, busy: object, phantom_dicom: bytes) -> None:
    """All answered; batches of more than one; probes are answered long before the last upload."""
    server = launch(bundles=busy)
    began: list[float] = []
    probes: list[float] = []

    async def upload(client: httpx.AsyncClient) -> float:
        answer = await client.post("/predict", files={"file": phantom_dicom})
        assert answer.status_code == 200, answer.text
        return time.monotonic() - began[0]

    async def probe(client: httpx.AsyncClient, uploads: asyncio.Future[list[float]]) -> None:
        while not uploads.done():
            asked = time.monotonic()
            assert (await client.get("/health/live")).status_code == 200
            probes.append(time.monotonic() - asked)
            await asyncio.sleep(0.05)

    async def story() -> list[float]:
        limits = httpx.Limits(max_connections=80)
        async with httpx.AsyncClient(base_url=server.url, limits=limits, timeout=120) as client:
            began.append(time.monotonic())
            uploads = asyncio.gather(*(upload(client) for _ in range(64)))
            await probe(client, uploads)
            return await uploads

    durations = asyncio.run(story())
    text = httpx.get(f"{server.url}/metrics").text
    assert metric(text, "pacx_batch_size_sum") == 64
    assert metric(text, "pacx_batch_size_count") < 64
    assert metric(text, "pacx_queue_depth") == 0
    assert metric(text, "pacx_inflight_bytes") == 0
    assert len(probes) >= 5
    assert statistics.median(probes) < max(durations) / 10


def test_a_full_server_says_so_and_when_to_come_back(
    launch: Launch, busy: object, phantom_dicom: bytes
) -> None:
    server = launch(bundles=busy, queue_count=4)

    async def story() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            posts = [client.post("/predict", files={"file": phantom_dicom}) for _ in range(20)]
            many = client.post("/embeddings", files=[("file", phantom_dicom)] * 5)
            return list(await asyncio.gather(*posts, many))

    answers = asyncio.run(story())
    assert answers[-1].status_code == 503, "five images of one request are five images"
    refused = [answer for answer in answers if answer.status_code == 503]
    assert {answer.status_code for answer in answers} == {200, 503}
    for answer in refused:
        assert answer.json()["code"] == "queue_full"
        assert "limit is 4" in answer.json()["detail"]
        assert int(answer.headers["retry-after"]) >= 1


def test_a_deadline_that_passes_in_the_queue(
    launch: Launch, busy: object, phantom_dicom: bytes
) -> None:
    """The engine takes one at a time; what has waited too long is answered and never run."""
    deadline_s = 0.4
    server = launch(bundles=busy, deadline_s=deadline_s, max_batch=1, queue_count=8192)
    film = {"file": phantom_dicom}

    async def story() -> list[int]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=server.url, limits=limits, timeout=60) as client:
            lone = [await client.post("/predict", files=film) for _ in range(5)]
            paces_ms = [
                answer.json()["timing_ms"]["inference"]
                for answer in lone
                if answer.status_code == 200
            ]
            # Enough for the deadline four times over, however fast the machine is.
            count = max(24, math.ceil(4 * deadline_s * 1000 / min(paces_ms, default=100)))
            many = await asyncio.gather(
                *(client.post("/predict", files=film) for _ in range(count))
            )
            return [answer.status_code for answer in (*lone, *many)]

    statuses = asyncio.run(story())
    assert set(statuses) <= {200, 504}
    assert 504 in statuses
    text = httpx.get(f"{server.url}/metrics").text
    # Some were in the engine when their deadline passed; most of the late ones never got there.
    late = statuses.count(504)
    assert metric(text, "pacx_batch_size_sum") <= statuses.count(200) + late / 2
