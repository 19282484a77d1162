"""Untrusted bytes -> pixels and facts, in guarded worker processes.

Every process has its own pipe and shares no lock with others, so that killing one at any moment
(a native crash, the memory killer, a deadline, a caller who left) costs at most the file it holds.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import forkserver
from typing import TypeVar

from pydantic import ValidationError

from pacx.errors import PacxError, PixelDataCorrupt, SettingsError, TooComplex
from pacx.preprocessing import PreprocessingSpec
from pacx_server import decoder
from pacx_server.decoder import Confinement, Job
from pacx_server.pieces import File
from pacx_server.queueing import FairQueue
from pacx_server.worker import Decoded, Worker

Result = TypeVar("Result")

log = logging.getLogger(__name__)

RETRY_S = 1.0
"""Until the next attempt to start a process, where the system refuses one."""
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - the kernel's own, and Python makes a private folder


@dataclass(frozen=True, slots=True, eq=False)
class _Claim:
    key: str
    future: asyncio.Future[Worker]
    size_bytes: int = 0


class DecoderPool:
    """A fixed number of decoding processes, lent to callers in turn.

    Args:
        workers: Processes.
        confinement: What each may use.
        deadline_s: Wall-clock time of one file.
        recycle_after: Files after which a process is replaced.
        on_replacement: Told the reason of every unplanned replacement:
            ``crashed``, ``deadline`` or ``abandoned``.
    """

    def __init__(
        self,
        *,
        workers: int,
        confinement: Confinement,
        deadline_s: float,
        recycle_after: int,
        on_replacement: Callable[[str], None] = lambda reason: None,  # noqa: ARG005
    ) -> None:
        self._count = workers
        self._confinement = confinement
        self._deadline_s = deadline_s
        self._recycle_after = recycle_after
        self._on_replacement = on_replacement
        self._idle: list[Worker] = []
        self._all: set[Worker] = set()
        self._claims: FairQueue[_Claim] = FairQueue()
        self._threads = ThreadPoolExecutor(workers + 1, thread_name_prefix="decoding")
        self._chores: set[asyncio.Task[None]] = set()
        self._closing = False

    async def start(self) -> None:
        """Start all processes.

        Raises:
            SettingsError: The system does not let one start.
        """
        # Python terminates daemons at its exit and waits for them; these ignore that signal.
        atexit.register(self._kill)
        await self._in_thread(_start_forkserver)
        try:
            await asyncio.gather(*(self._hire() for _ in range(self._count)))
        except (EOFError, OSError) as error:
            raise SettingsError(
                f"A decoding process does not start ({type(error).__name__}). PACX_DECODE_WORKERS "
                "and PACX_DECODE_MEMORY_BYTES must fit the system's limits on processes, memory "
                "and open files."
            ) from error

    async def close(self) -> None:
        """Stop all processes."""
        self._closing = True
        if self._chores:
            await asyncio.wait(self._chores)
        await asyncio.gather(*(self._in_thread(worker.bury) for worker in self._all))
        self._threads.shutdown(wait=False)
        atexit.unregister(self._kill)

    def _kill(self) -> None:
        for worker in self._all:
            worker.kill()

    @property
    def pids(self) -> list[int]:
        """Process ids of all workers."""
        return sorted(worker.pid for worker in self._all if worker.pid is not None)

    @property
    def alive(self) -> bool:
        """Whether there is a process to decode with; those that died idle are replaced."""
        for worker in [worker for worker in self._idle if not worker.alive]:
            self._idle.remove(worker)
            self._give_back(worker, "crashed")
        return bool(self._all)

    async def decode(
        self,
        data: File,
        spec: PreprocessingSpec,
        *,
        key: str = "",
        picture: bool = False,
        study: bool = False,
    ) -> Decoded:
        """Decode one file; cancelling it ends the process that works on it.

        A process that dies without our doing is replaced and the file tried once more, so that
        only a file that kills its process is refused for it.

        Args:
            data: The file.
            spec: How the model wants its input.
            key: The caller; callers take turns.
            picture: Also return the picture for display.
            study: Also return the hash of the study's identifier.

        Raises:
            InputError: The file cannot be used, takes too long, or crashes the decoder.
        """
        job = Job(spec=spec, size_bytes=len(data), picture=picture, study=study)
        try:
            return await self._attempt(job, data, key)
        except (EOFError, OSError):
            pass
        try:
            return await self._attempt(job, data, key)
        except (EOFError, OSError) as error:
            raise PixelDataCorrupt("The file makes the decoder crash.") from error

    async def _attempt(self, job: Job, data: File, key: str) -> Decoded:
        worker = await self._claim(key)
        reason = "abandoned"
        try:
            async with asyncio.timeout(self._deadline_s):
                decoded = await worker.ask(job, data)
            reason = ""
            return decoded
        except PacxError:
            reason = ""
            raise
        except TimeoutError as error:
            reason = "deadline"
            raise TooComplex("Decoding the file takes longer than is allowed.") from error
        except (EOFError, OSError, ValidationError) as error:
            reason = "crashed"
            if await self._in_thread(worker.bury) == -signal.SIGXCPU:
                raise TooComplex("Decoding takes more processor time than is allowed.") from error
            raise EOFError from error
        finally:
            self._give_back(worker, reason)

    async def _claim(self, key: str) -> Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.alive:
                return worker
            self._give_back(worker, "crashed")
        claim = _Claim(key, asyncio.get_running_loop().create_future())
        self._claims.push(claim)
        try:
            return await claim.future
        except asyncio.CancelledError:
            if claim.future.done() and not claim.future.cancelled():
                self._lend(claim.future.result())
            raise
        finally:
            self._claims.discard(claim)

    def _give_back(self, worker: Worker, reason: str) -> None:
        if reason:
            worker.kill()
            self._on_replacement(reason)
        if reason or worker.files >= self._recycle_after:
            self._all.discard(worker)
            chore = asyncio.get_running_loop().create_task(self._replace(worker))
            self._chores.add(chore)
            chore.add_done_callback(self._chores.discard)
        else:
            self._lend(worker)

    def _lend(self, worker: Worker) -> None:
        while self._claims:
            future = self._claims.pop().future
            if not future.done():
                future.set_result(worker)
                return
        self._idle.append(worker)

    async def _replace(self, worker: Worker) -> None:
        await self._in_thread(worker.bury)
        while not self._closing:
            try:
                await self._hire()
                break
            except (EOFError, OSError) as error:
                log.error("a decoding process does not start: %s", type(error).__name__)
            await asyncio.sleep(RETRY_S)

    async def _hire(self) -> None:
        worker = await self._in_thread(lambda: Worker(self._confinement))
        self._all.add(worker)
        self._lend(worker)

    async def _in_thread(self, function: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)


def _start_forkserver() -> None:
    """Start the clean process that all workers are forked from: no threads, no secrets."""
    _choose_socket_folder()
    multiprocessing.set_forkserver_preload([decoder.__name__])
    with _environment(decoder.scrubbed_environment()):
        forkserver.ensure_running()


def _choose_socket_folder() -> None:
    """Python puts one socket into the temporary folder; a read-only system may have none."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        tempfile.tempdir = SHARED_MEMORY


@contextmanager
def _environment(wanted: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(wanted)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
