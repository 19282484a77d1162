"""Hours of good and bad traffic, kills and disconnects: nothing is lost, nothing grows.

python -m benchmarks.soak --minutes 60 --rate 3 --write
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from base64 import b64encode
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.http_load import MEBIBYTE, REPOSITORY, RESULTS, Connection, get, machine, post
from tests.abuse import rss_bytes
from tests.hostile_files import FAULTS, picture_file
from tests.live_server import LiveServer, running
from tests.phantom_dicom import chest_pixels, dicom_bytes

CALLERS = 8
BURST = 20
LEAVING = 0.05
PATIENCE_S = 60.0
KILL_EVERY_S = 10.0
SAMPLE_EVERY_S = 15.0
TOLERANCE = 1.05
REFUSED = (400, 413, 415, 422)
CHANCE = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Question:
    """A prepared request, and the answers that are right."""

    name: str
    request: bytes
    right: tuple[int, ...] = (200,)


@dataclass(slots=True)
class Diary:
    """What happened.

    Attributes:
        statuses: Answers by status; 0 where none came, or the connection broke without our doing.
        wrong: Answers that the question did not deserve, with its name.
        left: Requests that we left on purpose.
        kills: Decoding processes that we killed.
        rss_mib: Samples of the resident memory of all processes.
        server_mib: Samples of that of the server's own process.
        descriptors: Samples of the server's open files.
        held: What the server says that it still holds when all callers are gone.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    left: int = 0
    kills: int = 0
    rss_mib: list[float] = field(default_factory=list)
    server_mib: list[float] = field(default_factory=list)
    descriptors: list[float] = field(default_factory=list)
    held: list[str] = field(default_factory=list)

    def note(self, question: Question, status: int) -> None:
        """Count one answer."""
        self.statuses[status] += 1
        if status not in question.right:
            self.wrong[f"{question.name}: {status}"] += 1


def questions() -> list[Question]:
    """Two good ones for every bad one."""
    films = [dicom_bytes(chest_pixels(side, side)) for side in (300, 512, 900)]
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES"}
    v1 = {"instances": [{"image": {"b64": b64encode(films[0]).decode()}}]}
    v2 = {"inputs": [tensor | {"data": [b64encode(films[0]).decode()]}]}
    model = "pacx-small"
    good = [Question("predict", post("/predict", film)) for film in films]
    good += [Question("embeddings", post("/embeddings", film)) for film in films]
    good += [
        Question("picture", post("/predict", picture_file("JPEG"), "image/jpeg")),
        Question("explanation", post("/explanations?method=rollout", films[0])),
        Question("V1", _json(f"/v1/models/{model}:predict", v1)),
        Question("V2", _json(f"/v2/models/{model}/infer", v2)),
        Question("readiness", get("/health/ready"), (200, 503)),
        Question("metrics", get("/metrics")),
    ]
    bad = [Question(fault.name, post("/predict", fault.build()), REFUSED) for fault in FAULTS]
    bad = [question for question in bad if len(question.request) < MEBIBYTE]
    bad += [
        Question("text", post("/predict", b"x", "text/plain"), (415,)),
        Question("nowhere", get("/nowhere"), (404,)),
    ]
    return good * (2 * len(bad) // len(good)) + bad


def _json(path: str, body: object) -> bytes:
    return post(path, json.dumps(body).encode(), "application/json")


async def call(
    server: LiveServer, asked: list[Question], diary: Diary, end: float, pause_s: float
) -> None:
    """Ask bursts at random, and sometimes leave in the middle."""
    while time.monotonic() < end:
        await asyncio.sleep(CHANCE.expovariate(1 / pause_s) if pause_s else 0)
        async with Connection(server.port) as connection:
            for _ in range(CHANCE.randint(1, BURST)):
                question = CHANCE.choice(asked)
                if CHANCE.random() < LEAVING:
                    await leave(connection, question)
                    diary.left += 1
                    break
                diary.note(question, await status_of(connection, question))


async def status_of(connection: Connection, question: Question) -> int:
    """The answer's status; 0 where none comes."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return (await connection.ask(question.request)).status
    except TimeoutError:
        return 0


async def leave(connection: Connection, question: Question) -> None:
    """Send all of a request or half of it, and go away within 50 ms."""
    request = question.request
    part = request if CHANCE.random() < 0.5 else request[: len(request) // 2]
    asking = asyncio.ensure_future(connection.ask(part))
    await asyncio.sleep(CHANCE.random() * 0.05)
    asking.cancel()


async def kill(server: LiveServer, diary: Diary, end: float) -> None:
    """Kill a decoding process now and then."""
    while time.monotonic() < end:
        await asyncio.sleep(KILL_EVERY_S)
        if workers := decoding_processes(server):
            CHANCE.choice(workers).kill()
            diary.kills += 1


def decoding_processes(server: LiveServer) -> list[psutil.Process]:
    """The grandchildren: a clean process between forks them."""
    root = psutil.Process(server.process.pid)
    children = set(root.children())
    return [process for process in root.children(recursive=True) if process not in children]


async def sample(server: LiveServer, diary: Diary, end: float) -> None:
    """Note what the server holds."""
    root = psutil.Process(server.process.pid)
    while time.monotonic() < end:
        await asyncio.sleep(SAMPLE_EVERY_S)
        diary.rss_mib.append(rss_bytes(server) / MEBIBYTE)
        diary.server_mib.append(root.memory_info().rss / MEBIBYTE)
        diary.descriptors.append(root.num_fds())
        now = f"{diary.rss_mib[-1]:.1f} {diary.server_mib[-1]:.1f} {diary.descriptors[-1]:.0f}"
        print(now, dict(diary.statuses), dict(diary.wrong), file=sys.stderr, flush=True)


async def story(server: LiveServer, minutes: float, rate: float) -> Diary:
    """Play everything at once."""
    asked, diary = questions(), Diary()
    end = time.monotonic() + minutes * 60
    pause_s = CALLERS * (1 + BURST) / 2 / rate if rate else 0.0
    await asyncio.gather(
        *(call(server, asked, diary, end, pause_s) for _ in range(CALLERS)),
        kill(server, diary, end),
        sample(server, diary, end),
    )
    return diary


def still_held(server: LiveServer) -> list[str]:
    """Lines of the metrics that speak of requests not yet ended."""
    with urllib.request.urlopen(f"{server.url}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return [line for line in lines if line.startswith(("pacx_queue_depth", "pacx_inflight_bytes"))]


def flat(samples: list[float], slack: float = 0.0) -> bool:
    """Whether the last tenth lies no higher than the first after the warm-up, within 5 %."""
    tenth = max(1, len(samples) // 10)
    first, last = samples[tenth : 2 * tenth] or samples, samples[-tenth:]
    return statistics.median(last) <= TOLERANCE * statistics.median(first) + slack


def faults(diary: Diary, exit_code: int | None) -> list[str]:
    """What is not as it should be."""
    lost = diary.statuses[0]
    found = [f"{lost} requests lost"] if lost else []
    found += [f"{count} x {name}" for name, count in diary.wrong.items()]
    found += [] if flat(diary.rss_mib) else ["RSS of all processes grew"]
    found += [] if flat(diary.server_mib) else ["RSS of the server's process grew"]
    connections = float(CALLERS)
    found += [] if flat(diary.descriptors, connections) else ["open files grew"]
    found += [f"{line} after all had left" for line in diary.held if not line.endswith(" 0.0")]
    return [*found, *([f"exit code {exit_code}"] if exit_code else [])]


def row(samples: list[float]) -> str:
    """First, last and largest."""
    return f"first {samples[0]:.0f}, last {samples[-1]:.0f}, largest {max(samples):.0f}"


def report(diary: Diary, title: str, exit_code: int | None) -> str:
    """A page."""
    answers = ", ".join(f"{status}: {count}" for status, count in sorted(diary.statuses.items()))
    rows = {
        "answers by status": answers,
        "left on purpose": diary.left,
        "decoding processes killed": diary.kills,
        "RSS of all processes, MiB": row(diary.rss_mib),
        "RSS of the server's process, MiB": row(diary.server_mib),
        "open files": row(diary.descriptors),
        "exit code after SIGTERM": exit_code,
        "not as it should be": "; ".join(faults(diary, exit_code)) or "nothing",
    }
    table = [f"| {name} | {found} |" for name, found in rows.items()]
    return "\n".join(["# Soak", "", title, "", "| what | found |", "| --- | --- |", *table, ""])


def revision() -> str:
    """Of the checkout that runs."""
    command = ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()


def main() -> int:
    """Soak and print; the exit code tells whether all was as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=0, help="requests a second; 0: all it takes")
    parser.add_argument("--write", action="store_true", help="docs/results/soak.md")
    arguments = parser.parse_args()
    settings = {"PACX_BUNDLES": "pacx-small", "PACX_LOG_LEVEL": "warning"}
    played = revision()
    with tempfile.TemporaryDirectory() as folder:
        with running(Path(folder), settings) as server:
            diary = asyncio.run(story(server, arguments.minutes, arguments.rate))
            diary.held = still_held(server)
        code = server.process.returncode
    rate = f"{arguments.rate:g} requests a second" if arguments.rate else "no pause"
    title = f"pacx-small, revision {played}, {arguments.minutes:g} minutes, {CALLERS} callers"
    page = report(diary, f"{title}, {rate}; {machine()}.", code)
    print(page)
    if arguments.write:
        (RESULTS / "soak.md").write_text(page, encoding="utf-8")
    return int(bool(faults(diary, code)))


if __name__ == "__main__":
    sys.exit(main())
