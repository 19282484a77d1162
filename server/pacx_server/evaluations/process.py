"""The process of one evaluation: ``pacx evaluate``, which asks this server as any client does."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from pacx_server.evaluations.environment import bare_environment
from pacx_server.evaluations.folder import JobFolder
from pacx_server.evaluations.job import Failure, Job, Progress
from pacx_server.evaluations.urgency import Starvation, Urgency

LONGEST_LINE_BYTES = 2**16


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What an evaluation asks.

    Attributes:
        url: This server's own address.
        token: Lets it in, and lets it wait behind everybody else.
        name: What the report calls the model.
        certificate: The authority of an address with TLS, where it is no public one.
    """

    url: str
    token: str
    name: str
    certificate: Path | None = None


@dataclass(slots=True, kw_only=True)
class Watched:
    """A running process and the last that it said.

    Attributes:
        process: Its handle.
        progress: How far it is.
        failure: What it says went wrong.
        starvation: Whether others leave it no processor.
        ended: Done when its output has ended.
    """

    process: asyncio.subprocess.Process
    progress: Progress | None = None
    failure: Failure | None = None
    starvation: Starvation = field(init=False)
    ended: asyncio.Task[None] = field(init=False)

    def __post_init__(self) -> None:
        """Watch it from its start."""
        self.starvation = Starvation(self.process.pid)

    async def follow(self) -> None:
        """Read what it says until it says no more, then wait for its end."""
        stream = self.process.stdout
        while stream is not None and not stream.at_eof():
            with suppress(
                ValidationError, ValueError, TypeError
            ):  # also of a line that is too long
                self._hear(json.loads(await stream.readline()))
        await self.process.wait()

    def _hear(self, said: dict[str, object]) -> None:
        if "error" in said:
            self.failure = Failure.model_validate(said["error"])
        else:
            self.progress = Progress.model_validate(said)


@asynccontextmanager
async def running(
    job: Job, folder: JobFolder, manifest: Path, within: Path, target: Target, urgency: Urgency
) -> AsyncIterator[Watched]:
    """Run an evaluation's process; when the block ends it is dead, with all its children."""
    home = folder.path / "home"
    home.mkdir(exist_ok=True)
    environment = bare_environment() | {
        "PACX_API_KEY": target.token,
        "HOME": str(home),
        "MPLCONFIGDIR": str(home),
        "NO_PROXY": "*",
    }
    if target.certificate is not None:
        environment.setdefault("SSL_CERT_FILE", str(target.certificate))
    with folder.log.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pacx_server.evaluations.launch", str(os.getpid()), urgency),
            *_command(job, folder, manifest, within, target),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env=environment,
            cwd=home,
            limit=LONGEST_LINE_BYTES,
            # Not a new session, which Linux would give as much of the processor as the server's.
            process_group=0,
        )
    watched = Watched(process=process)
    watched.ended = asyncio.get_running_loop().create_task(watched.follow())
    try:
        yield watched
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(watched.ended)


def _command(
    job: Job, folder: JobFolder, manifest: Path, within: Path, target: Target
) -> list[str]:
    options = job.options
    return [
        *(sys.executable, "-m", "pacx", "evaluate", f"{target.name}={target.url}"),
        f"--benchmark={manifest}",
        f"--within={within}",
        f"--output={folder.draft}",
        f"--cache={folder.cache}",
        *(f"--protocol={protocol}" for protocol in options.protocols),
        *(f"--label={label}" for label in options.labels),
        f"--replicates={options.replicates}",
        f"--subsets={options.subsets}",
        f"--films={options.films}",
        f"--seed={options.seed}",
        "--events",
    ]
