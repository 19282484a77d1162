"""More than the server can do: open loop, Poisson arrivals, at 0.5, 1, 2 and 4 times its capacity.

Capacity is what a closed loop of 24 callers gets. Every round measures it and offers all loads, so
that a machine whose speed changes changes all of them. Callers wait for "100 Continue" before
they send a film, as curl does; with ``--impatient`` they do not, so that whoever is refused still
sends most of two megabytes, which costs the cores that client and server share. Writes
``docs/results/overload.md`` with ``--write``.

    python -m benchmarks.overload --seconds 20 --rounds 3 --write
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.http_load import RESULTS, Answer, Connection, closed_loop, machine, post
from tests.live_server import LiveServer, running
from tests.phantom_dicom import chest_pixels, dicom_bytes

CONNECTIONS = 200
FACTORS = (0.5, 1, 2, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What came of one offered load.

    Attributes:
        factor: Of the capacity.
        goodput_per_s: Answers with 200, per second.
        p50_ms: Median of those.
        p99_ms: 99th percentile of those.
        refused: Share that was refused with 503.
        refusal_ms: Median time of a refusal.
        other: Answers that were neither.
    """

    factor: float
    goodput_per_s: float
    p50_ms: float
    p99_ms: float
    refused: float
    refusal_ms: float
    other: int


async def offer(server: LiveServer, request: bytes, rate: float, seconds: float) -> list[Answer]:
    """Send requests at random times with a fixed mean rate, whatever becomes of them."""
    chance = random.Random(1)
    idle: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        idle.put_nowait(Connection(server.port))  # one that says nothing is closed after a while
    answers: list[Answer] = []

    async def one() -> None:
        arrived = time.perf_counter()
        connection = await idle.get()
        answer = await connection.ask(request)
        answers.append(Answer(answer.status, time.perf_counter() - arrived))
        idle.put_nowait(connection)

    tasks, due, end = [], time.perf_counter(), time.perf_counter() + seconds
    while due < end:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.ensure_future(one()))
        due += chance.expovariate(rate)
    await asyncio.gather(*tasks)
    while not idle.empty():
        await idle.get_nowait().__aexit__(None, None, None)
    return answers


def summarise(factor: float, answers: list[Answer], seconds: float) -> Load:
    """Count what came of one offered load."""
    good = sorted(answer.seconds for answer in answers if answer.status == 200)
    refused = [answer.seconds for answer in answers if answer.status == 503]
    return Load(
        factor=factor,
        goodput_per_s=len(good) / seconds,
        p50_ms=statistics.median(good) * 1000,
        p99_ms=good[int(len(good) * 0.99)] * 1000,
        refused=len(refused) / len(answers),
        refusal_ms=statistics.median(refused) * 1000 if refused else 0.0,
        other=len(answers) - len(good) - len(refused),
    )


def measure(
    bundle: str, seconds: float, rounds: int, queue_count: int, *, expecting: bool
) -> tuple[float, list[Load]]:
    """Find the capacity, then offer multiples of it; all rounds of one multiple are one load."""
    request = post("/predict", dicom_bytes(chest_pixels(1024, 1024)), expecting=expecting)
    settings = {"PACX_BUNDLES": bundle, "PACX_QUEUE_COUNT": str(queue_count)}
    capacities: list[float] = []
    answers: dict[float, list[Answer]] = {factor: [] for factor in FACTORS}
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), settings) as server:
        asyncio.run(closed_loop(server.port, request, callers=8, seconds=2))
        for _ in range(rounds):
            warm = asyncio.run(closed_loop(server.port, request, callers=24, seconds=seconds / 2))
            capacities.append(len(warm) / (seconds / 2))
            for factor, found in answers.items():
                found += asyncio.run(offer(server, request, factor * capacities[-1], seconds))
    loads = [summarise(*found, rounds * seconds) for found in answers.items()]
    return statistics.mean(capacities), loads


def goodput_ratio(loads: list[Load]) -> float:
    """Answers at the highest load for each at the capacity."""
    answered = {load.factor: load.goodput_per_s for load in loads}
    return answered[max(FACTORS)] / answered[1]


def report(capacity: float, loads: list[Load], title: str) -> str:
    """A page with one line a load."""
    lines = [
        "# Overload",
        "",
        f"{title}; {machine()}. Capacity (closed loop, 24 callers): {capacity:.1f} images/s.",
        "Client and server share the cores, so an offered load also costs the server. Where the",
        "load average is far above the number of cores, other programs ran too.",
        "",
        f"{goodput_ratio(loads):.2f} of what is answered at 1 x is still answered at 4 x.",
        "",
        "| offered | answered, images/s | p50, ms | p99, ms | refused | a refusal, ms | other |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {load.factor} x | {load.goodput_per_s:.1f} | {load.p50_ms:.0f} | {load.p99_ms:.0f} "
        f"| {load.refused:.0%} | {load.refusal_ms:.1f} | {load.other} |"
        for load in loads
    ]
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", default="pacx-small")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--queue-count", type=int, default=32)
    parser.add_argument("--impatient", action="store_true", help="send films at once")
    parser.add_argument("--write", action="store_true", help="docs/results/overload.md")
    arguments = parser.parse_args()
    capacity, loads = measure(
        arguments.bundle,
        arguments.seconds,
        arguments.rounds,
        arguments.queue_count,
        expecting=not arguments.impatient,
    )
    page = report(capacity, loads, f"{arguments.bundle}, {arguments.queue_count} places")
    print(page)
    if arguments.write:
        (RESULTS / "overload.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
