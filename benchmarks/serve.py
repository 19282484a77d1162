"""What serving costs on top of the bare engine, for the same graph in the same run.

Rounds of the bare engine and of the server alternate, so that a busy machine slows both. Processor
time per image does not count what other programs do, and its ratio is that of the throughputs where
the processor is the bound. What a lone caller waits longer is the median difference of pairs, one
request and one call of the engine in turn. Files are uncompressed DICOM, sent raw over loopback.
Writes
``docs/results/serve.md`` with ``--write``.

    python -m benchmarks.serve --seconds 5 --rounds 5 --write
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from benchmarks.http_load import RESULTS, Connection, closed_loop, get, machine, post
from pacx.model import Model, load
from tests.live_server import LiveServer, running
from tests.phantom_dicom import chest_pixels, dicom_bytes

BATCH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Numbers of one round; times in milliseconds, throughput in images a second."""

    engine_per_s: float
    served_per_s: float
    engine_cpu_ms: float
    served_cpu_ms: float
    engine_ms: float
    served_ms: float
    overhead_ms: float
    live_ms: float


def engine_throughput(model: Model, seconds: float) -> tuple[float, float]:
    """Images a second of full batches, and processor time per image in milliseconds."""
    pictures = np.zeros((BATCH, model.spec.size, model.spec.size), dtype=np.float32)
    started, used, images = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - started < seconds:
        model.run(pictures)
        images += BATCH
    cpu_ms = (time.process_time() - used) / images * 1000
    return images / (time.perf_counter() - started), cpu_ms


async def in_turn(
    server: LiveServer, model: Model, request: bytes, seconds: float
) -> tuple[float, float, float]:
    """A lone request and one picture on the bare engine: medians, and that of their difference."""
    picture = np.zeros((1, model.spec.size, model.spec.size), dtype=np.float32)
    pairs, end = [], time.perf_counter() + seconds
    async with Connection(server.port) as connection:
        while time.perf_counter() < end:
            answer = await connection.ask(request)
            started = time.perf_counter()
            model.run(picture)
            pairs.append((answer.seconds, time.perf_counter() - started))
    served_ms, engine_ms = 1000 * np.array(pairs).T
    return (
        float(np.median(served_ms)),
        float(np.median(engine_ms)),
        float(np.median(served_ms - engine_ms)),
    )


async def served(server: LiveServer, request: bytes, seconds: float) -> tuple[float, float, float]:
    """Throughput and processor time with 24 callers, and the median of the probe."""
    used = cpu_s(server)
    probing = asyncio.ensure_future(probe(server, seconds))
    answers = await closed_loop(server.port, request, callers=24, seconds=seconds)
    live_ms = await probing
    cpu_ms = (cpu_s(server) - used) / len(answers) * 1000
    bad = [answer.status for answer in answers if answer.status != 200]
    if bad:
        raise RuntimeError(f"the server answered {bad[0]}")
    return len(answers) / seconds, cpu_ms, live_ms


def cpu_s(server: LiveServer) -> float:
    """Processor time of the server and all its processes so far."""
    root = psutil.Process(server.process.pid)
    tree = (root, *root.children(recursive=True))
    return sum(sum(process.cpu_times()[:2]) for process in tree)


async def probe(server: LiveServer, seconds: float) -> float:
    """Median of /health/live, milliseconds."""
    end, times = time.perf_counter() + seconds, []
    async with Connection(server.port) as connection:
        while time.perf_counter() < end:
            times.append((await connection.ask(get("/health/live"))).seconds)
            await asyncio.sleep(0.05)
    return statistics.median(times) * 1000


def measure(bundle: str, engine: str, seconds: float, rounds: int) -> list[Round]:
    """Alternate between the bare engine and the server."""
    model = load(bundle, engine=engine)
    request = post("/predict", dicom_bytes(chest_pixels(1024, 1024)))
    found = []
    settings = {"PACX_BUNDLES": bundle, "PACX_ENGINE": engine, "PACX_MAX_BATCH": str(BATCH)}
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), settings) as server:
        asyncio.run(served(server, request, 1))
        for _ in range(rounds):
            per_s, cpu_ms, live_ms = asyncio.run(served(server, request, seconds))
            engine_per_s, engine_cpu_ms = engine_throughput(model, seconds)
            alone = asyncio.run(in_turn(server, model, request, seconds))
            found.append(
                Round(
                    engine_per_s=engine_per_s,
                    served_per_s=per_s,
                    engine_cpu_ms=engine_cpu_ms,
                    served_cpu_ms=cpu_ms,
                    served_ms=alone[0],
                    engine_ms=alone[1],
                    overhead_ms=alone[2],
                    live_ms=live_ms,
                )
            )
    return found


def report(rounds: list[Round], title: str) -> str:
    """A page with one line a round and the medians."""
    lines = [
        "# Serving beside the bare engine",
        "",
        f"{title}; {machine()}. Uncompressed DICOM of 1024 x 1024, raw bodies over loopback.",
        "",
        "| engine, images/s | served, images/s | engine, processor ms/image "
        "| served, processor ms/image | ratio | engine, ms | served, ms | difference, ms "
        "| probe under load, ms |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for entry in rounds:
        lines.append(
            f"| {entry.engine_per_s:.1f} | {entry.served_per_s:.1f} "
            f"| {entry.engine_cpu_ms:.1f} | {entry.served_cpu_ms:.1f} "
            f"| {entry.engine_cpu_ms / entry.served_cpu_ms:.2f} | {entry.engine_ms:.1f} "
            f"| {entry.served_ms:.1f} | {entry.overhead_ms:.1f} | {entry.live_ms:.1f} |"
        )
    wall = statistics.median(entry.served_per_s / entry.engine_per_s for entry in rounds)
    cpu = statistics.median(entry.engine_cpu_ms / entry.served_cpu_ms for entry in rounds)
    overhead = statistics.median(entry.overhead_ms for entry in rounds)
    lines += [
        "",
        f"Median ratio of the throughputs {wall:.2f}, of the processor times {cpu:.2f}. One caller "
        f"alone waits {overhead:.1f} ms longer than for the bare engine.",
        "Where the load average is above the number of cores, other programs ran too, and only",
        "processor times mean something.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", default="pacx-small")
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="docs/results/serve.md")
    arguments = parser.parse_args()
    found = measure(arguments.bundle, arguments.engine, arguments.seconds, arguments.rounds)
    page = report(found, f"{arguments.bundle} on {arguments.engine}")
    print(page)
    if arguments.write:
        (RESULTS / "serve.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
