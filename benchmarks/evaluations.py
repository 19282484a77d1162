"""What an evaluation costs those who ask ``/predict`` meanwhile.

The same server is asked at random times with a fixed mean rate, in rounds of two blocks: alone,
and while an evaluation of drawn films runs, so that what else the machine does falls on both.
Writes ``docs/results/evaluations.md`` with ``--write``.

    python -m benchmarks.evaluations --rounds 20 --seconds 30 --rate 2 --write

``--share 1`` shows what it costs without rests between the films.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import random
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.http_load import RESULTS, Answer, Connection, closed_loop, machine, post
from pacx_client import PacxClient, PacxClientError
from tests.live_server import LiveServer, running
from tests.phantom_dicom import chest_pixels, dicom_bytes

FILMS, PATIENTS, SIDE = 40, 20, 512
"""Few, so that a block sees an evaluation's start and its statistics, too."""
WANTED = 1.3
REPLICATES = 2000
STEPS_PER_FILM = 2  # decoding and inference
WAITS = "pacx_evaluation_wait_seconds_count"
POLL_S = 0.5
STARTING_S = 120.0
Seconds = NDArray[np.float64]


@dataclass(slots=True)
class Measured:
    """Answers of one kind of block.

    Attributes:
        rounds: Seconds of the answers of every round.
        failed: Answers that were not 200.
    """

    rounds: list[Seconds] = field(default_factory=list)
    failed: int = 0

    def percentile_ms(self, share: float) -> float:
        """Over all rounds together."""
        return float(np.percentile(np.concatenate(self.rounds), share)) * 1000


@dataclass(slots=True)
class Background:
    """Evaluations that follow one another until they are told to stop.

    Attributes:
        client: Of the server.
        archive: Films and labels.
        finished: Evaluations that succeeded.
        asked: Times that one was asked how far it was.
        embedding: Times that it embedded films then.
        films: Embedded for them, whether or not they finished.
    """

    client: PacxClient
    archive: bytes
    begun: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    finished: int = 0
    asked: int = 0
    embedding: int = 0
    films: int = 0

    @property
    def embedding_share(self) -> float:
        """Of the evaluations' time, that they took for embedding."""
        return self.embedding / max(1, self.asked)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Evaluate while the block lasts; it begins with the embedding of films."""
        self.begun.clear()
        self.over.clear()
        thread = threading.Thread(target=self._evaluate)
        thread.start()
        try:
            if not self.begun.wait(STARTING_S):
                raise RuntimeError("The evaluation does not begin.")
            yield
        finally:
            self.over.set()
            thread.join()

    def _evaluate(self) -> None:
        while not self.over.is_set():
            job = self.client.evaluate(
                self.archive, protocols=("linear", "calibration"), labels=["finding"]
            )
            while not job.has_ended and not self.over.wait(POLL_S):
                job = self.client.evaluation(job.id)
                self.asked += 1
                if job.progress is not None and job.progress.doing.startswith("embedding"):
                    self.embedding += job.progress.done < job.progress.total
                    self.begun.set()
            self.finished += job.state == "succeeded"
            with suppress(PacxClientError):  # it may have ended in between
                self.client.cancel_evaluation(job.id)


def archive() -> bytes:
    """Drawn films with labels that a probe can nearly find, as a zip."""
    generator = np.random.default_rng(0)
    chest = chest_pixels(SIDE, SIDE).astype(np.float64)
    chest *= 200 / chest.max()
    rows, buffer = ["path,patient,finding"], io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as files:
        for number in range(FILMS):
            finding = number % PATIENTS % 3 == 0
            noisy = chest + generator.normal(20 * finding, 15, chest.shape)
            picture = io.BytesIO()
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(picture, "png")
            files.writestr(f"{number}.png", picture.getvalue())
            rows.append(f"{number}.png,{number % PATIENTS},{int(finding)}")
        files.writestr("manifest.csv", "\n".join(rows))
    return buffer.getvalue()


async def ask_at_random(port: int, request: bytes, rate: float, seconds: float) -> list[Answer]:
    """Send requests at random times, each over a connection of its own."""
    chance = random.Random(1)

    async def one() -> Answer:
        arrived = time.perf_counter()
        async with Connection(port) as connection:
            answer = await connection.ask(request)
        return Answer(answer.status, time.perf_counter() - arrived)

    tasks, due, end = [], time.perf_counter(), time.perf_counter() + seconds
    while due < end:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.ensure_future(one()))
        due += chance.expovariate(rate)
    return list(await asyncio.gather(*tasks))


def block(server: LiveServer, request: bytes, rate: float, seconds: float, into: Measured) -> None:
    """Ask for some time, and keep what the answers took."""
    answers = asyncio.run(ask_at_random(server.port, request, rate, seconds))
    into.rounds.append(np.array([a.seconds for a in answers if a.status == 200]))
    into.failed += sum(answer.status != 200 for answer in answers)


def measure(
    bundle: str, rounds: int, seconds: float, rate: float, share: float
) -> tuple[Measured, Measured, Background]:
    """Alternate blocks without and with an evaluation on one server."""
    request = post("/predict", dicom_bytes(chest_pixels(1024, 1024)))
    alone, beside = Measured(), Measured()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = {
            "PACX_BUNDLES": bundle,
            "PACX_EVALUATION_DIRECTORY": str(folder / "evaluations"),
            "PACX_EVALUATION_SHARE": str(share),
        }
        with running(folder, settings) as server, PacxClient(server.url) as client:
            background = Background(client, archive())
            asyncio.run(closed_loop(server.port, request, callers=4, seconds=3))
            for _ in range(rounds):
                block(server, request, rate, seconds, alone)
                with background.running():
                    block(server, request, rate, seconds, beside)
                time.sleep(1)  # the process of the evaluation is gone
            background.films = steps_done(server) // STEPS_PER_FILM
    return alone, beside, background


def steps_done(server: LiveServer) -> int:
    """Steps of films that the server has let begin in the background."""
    page = httpx.get(f"{server.url}/metrics").raise_for_status().text
    (line,) = (line for line in page.splitlines() if line.startswith(WAITS))
    return int(float(line.split()[1]))


def ratio(alone: Measured, beside: Measured, share: float) -> tuple[float, float, float]:
    """Beside over alone, with a 95 % interval over rounds."""
    generator = np.random.default_rng(0)
    found = []
    for _ in range(REPLICATES):
        drawn = generator.integers(len(alone.rounds), size=len(alone.rounds))
        parts = (np.concatenate([m.rounds[i] for i in drawn]) for m in (alone, beside))
        before, after = (np.percentile(part, share) for part in parts)
        found.append(after / before)
    low, high = np.quantile(found, [0.025, 0.975])
    value = beside.percentile_ms(share) / alone.percentile_ms(share)
    return value, float(low), float(high)


def report(alone: Measured, beside: Measured, background: Background, title: str) -> str:
    """A page with one line for each percentile."""
    lines = [
        "# `/predict` beside an evaluation",
        "",
        f"{title}; {machine()}.",
        "Requests came at random times with this mean rate, in rounds of one block alone and one",
        f"block while an evaluation ran on the same server ({background.finished} were finished,",
        f"{background.films} films embedded for them, which went on for",
        f"{background.embedding_share:.0%} of the evaluations' time). Intervals are over rounds; a",
        f"ratio of the p99 of at most {WANTED:g} is wanted.",
        "",
        "| | alone, ms | beside an evaluation, ms | ratio | 95 % interval |",
        "| --- | --- | --- | --- | --- |",
    ]
    for share in (50, 99):
        value, low, high = ratio(alone, beside, share)
        lines.append(
            f"| p{share} | {alone.percentile_ms(share):.0f} | {beside.percentile_ms(share):.0f} "
            f"| {value:.2f} | {low:.2f} to {high:.2f} |"
        )
    counts = [sum(map(len, measured.rounds)) for measured in (alone, beside)]
    lines += [f"| answers | {counts[0]} | {counts[1]} | | |"]
    lines += [f"| not answered with 200 | {alone.failed} | {beside.failed} | | |", ""]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", default="pacx-small")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30, help="Of a block.")
    parser.add_argument("--rate", type=float, default=2, help="Requests per second.")
    parser.add_argument(
        "--share", type=float, default=0.25, help="PACX_EVALUATION_SHARE, of the time."
    )
    parser.add_argument("--write", action="store_true", help="docs/results/evaluations.md")
    arguments = parser.parse_args()
    found = measure(
        arguments.bundle, arguments.rounds, arguments.seconds, arguments.rate, arguments.share
    )
    title = (
        f"{arguments.bundle}, {arguments.rounds} rounds of {arguments.seconds:g} s, "
        f"{arguments.rate:g} requests/s, share {arguments.share:g}"
    )
    page = report(*found, title)
    print(page)
    if arguments.write:
        (RESULTS / "evaluations.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
