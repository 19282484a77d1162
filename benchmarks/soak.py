"""Hours of good and bad traffic, kills and disconnects: nothing is lost, nothing grows.

python -m benchmarks.soak --minutes 60 --write
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.http_load import MEBIBYTE, RESULTS, Connection, machine, post
from tests.abuse import rss_bytes
from tests.hostile_files import FAULTS
from tests.live_server import LiveServer, running
from tests.phantom_dicom import chest_pixels, dicom_bytes

CALLERS = 8
KILL_EVERY_S = 10.0
SAMPLE_EVERY_S = 15.0


@dataclass(slots=True)
class Diary:
    """What happened.

    Attributes:
        statuses: Answers by status; 0 where the connection broke without our doing.
        left: Requests that we left on purpose.
        kills: Decoding processes that we killed.
        rss_mib: Samples of the resident memory of all processes.
        descriptors: Samples of the server's open files.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    left: int = 0
    kills: int = 0
    rss_mib: list[float] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)


async def call(server: LiveServer, requests: list[bytes], diary: Diary, end: float) -> None:
    """Ask at random, and sometimes leave in the middle."""
    chance = random.SystemRandom()
    while time.monotonic() < end:
        async with Connection(server.port) as connection:
            for _ in range(chance.randint(1, 20)):
                question = asyncio.ensure_future(connection.ask(chance.choice(requests)))
                if chance.random() < 0.05:
                    await asyncio.sleep(chance.random() * 0.05)
                    question.cancel()
                    diary.left += 1
                    break
                diary.statuses[(await question).status] += 1


async def kill(server: LiveServer, diary: Diary, end: float) -> None:
    """Kill a decoding process now and then."""
    while time.monotonic() < end:
        await asyncio.sleep(KILL_EVERY_S)
        tree = psutil.Process(server.process.pid).children(recursive=True)
        depth = max(len(process.parents()) for process in tree)
        workers = [process for process in tree if len(process.parents()) == depth]
        random.SystemRandom().choice(workers).kill()
        diary.kills += 1


async def sample(server: LiveServer, diary: Diary, end: float) -> None:
    """Note what the server holds."""
    while time.monotonic() < end:
        await asyncio.sleep(SAMPLE_EVERY_S)
        diary.rss_mib.append(rss_bytes(server) / MEBIBYTE)
        diary.descriptors.append(psutil.Process(server.process.pid).num_fds())


async def story(server: LiveServer, minutes: float) -> Diary:
    """Play everything at once."""
    good = [dicom_bytes(chest_pixels(side, side)) for side in (300, 512, 900)]
    bad = [file for file in (fault.build() for fault in FAULTS) if file and len(file) < MEBIBYTE]
    requests = [post("/predict", file) for file in [*good * len(bad), *bad]]
    requests += [post("/embeddings", file) for file in good * 10]
    diary, end = Diary(), time.monotonic() + minutes * 60
    await asyncio.gather(
        *(call(server, requests, diary, end) for _ in range(CALLERS)),
        kill(server, diary, end),
        sample(server, diary, end),
    )
    return diary


def report(diary: Diary, minutes: float, title: str, exit_code: int | None) -> str:
    """A page."""
    answers = ", ".join(f"{status}: {count}" for status, count in sorted(diary.statuses.items()))
    rss, descriptors = diary.rss_mib, diary.descriptors
    return "\n".join(
        [
            "# Soak",
            "",
            f"{title}, {minutes:g} minutes, {CALLERS} callers; {machine()}.",
            "",
            "| what | found |",
            "| --- | --- |",
            f"| answers by status | {answers} |",
            f"| left on purpose | {diary.left} |",
            f"| decoding processes killed | {diary.kills} |",
            f"| RSS of all processes, MiB | first {rss[0]:.0f}, last {rss[-1]:.0f}, "
            f"largest {max(rss):.0f} |",
            f"| open files | first {descriptors[0]}, last {descriptors[-1]} |",
            f"| exit code after SIGTERM | {exit_code} |",
            "",
        ]
    )


def main() -> None:
    """Soak and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", default="pacx-small")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--write", action="store_true", help="docs/results/soak.md")
    arguments = parser.parse_args()
    settings = {"PACX_BUNDLES": arguments.bundle, "PACX_LOG_LEVEL": "warning"}
    with tempfile.TemporaryDirectory() as folder:
        with running(Path(folder), settings) as server:
            diary = asyncio.run(story(server, arguments.minutes))
        page = report(diary, arguments.minutes, arguments.bundle, server.process.returncode)
    print(page)
    if arguments.write:
        (RESULTS / "soak.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
