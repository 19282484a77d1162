"""Runs evaluations one after the other, and keeps the store tidy."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

import structlog

from pacx.errors import InsufficientStorage, UnknownEvaluation, is_full
from pacx_server.evaluations.folder import JobFolder
from pacx_server.evaluations.job import Failure, Job
from pacx_server.evaluations.lock import ServerLock
from pacx_server.evaluations.process import Target, Watched, running
from pacx_server.evaluations.store import Store
from pacx_server.evaluations.urgency import URGENCIES, Urgency

POLL_S = 0.5
AGAIN_S = 2.0
OVERLAP_S = 60.0
"""Clocks of two servers of one store may differ by this much."""
ROOT_GONE = Failure(code="forbidden", detail="This server offers no folder to evaluate from.")

log = structlog.get_logger("pacx.evaluations")

Course: TypeAlias = Literal["ended", "late", "starved"]
"""How it went with a process: by itself or because nobody wants it, or why it was stopped."""
Admit = Callable[[Job], AbstractContextManager[Target]]
"""Lets a job's process in for as long as the block lasts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerLimits:
    """What a runner keeps to.

    Attributes:
        workers: Evaluations at once.
        urgency: Of their processes at first.
        deadline_s: Longest that one process may take.
        retention_s: How long an evaluation is kept after it has ended.
    """

    workers: int
    urgency: Urgency
    deadline_s: float
    retention_s: float


class Runner:
    """Takes jobs out of a store and runs them.

    Args:
        store: The queue.
        lock: Tells which other servers of the store are alive.
        folder_of: Where a job's files lie.
        root: The folder that manifests may be named in, where there is one.
        limits: What it keeps to.
        admit: Lets a job's process in.
        on_end: Told the outcome of every job that ended here: its state or the failure's code.
    """

    def __init__(
        self,
        *,
        store: Store,
        lock: ServerLock,
        folder_of: Callable[[str], JobFolder],
        root: Path | None,
        limits: RunnerLimits,
        admit: Admit,
        on_end: Callable[[str], None],
    ) -> None:
        self._store = store
        self._lock = lock
        self._folder_of = folder_of
        self._root = root
        self._limits = limits
        self._admit = admit
        self._on_end = on_end
        self._wake = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._claiming: list[asyncio.Future[Job | None]] = []
        self._tidied = 0.0

    def nudge(self) -> None:
        """Say that something waits."""
        self._wake.set()

    async def serve(self) -> None:
        """Run until cancelled; what runs then is stopped and waits for its next server."""
        try:
            while True:
                try:
                    await self._round()
                except Exception:
                    log.exception("the queue of evaluations stumbled")
                await self._pause()
        finally:
            for task in self._running:
                task.cancel()
            # Also what was being claimed just now, or was to begin: no task of theirs can say so.
            await asyncio.gather(*self._running, *self._claiming, return_exceptions=True)
            with suppress(InsufficientStorage):  # then the next server finds it
                self._store.release_all()

    async def _round(self) -> None:
        await asyncio.to_thread(self._tidy)
        while len(self._running) < self._limits.workers:
            self._claiming = [asyncio.ensure_future(asyncio.to_thread(self._store.claim))]
            job = await asyncio.shield(self._claiming[0])
            if job is None:
                return
            task = asyncio.get_running_loop().create_task(self._work(job))
            self._running.add(task)
            task.add_done_callback(self._ended)

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(POLL_S):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wake.set()

    def _tidy(self) -> None:
        now = time.time()
        self._store.adopt(self._lock.is_alive)
        for name in self._store.ended(self._tidied):
            self._folder_of(name).clear()
        self._tidied = now - OVERLAP_S
        for name in self._store.overdue(now - self._limits.retention_s):
            folder = self._folder_of(name)
            folder.delete()
            if not folder.path.exists():
                self._store.remove(name)

    async def _work(self, job: Job) -> None:
        log.info("evaluation started", evaluation=job.id, caller=job.owner, attempt=job.attempts)
        failure = await self._run(job) or await asyncio.to_thread(self._publish, job)
        await self._insist(partial(self._store.finish, job.id, failure))
        await asyncio.to_thread(self._folder_of(job.id).clear)
        await self._insist(partial(self._store.release, job.id))
        with suppress(UnknownEvaluation):  # forgotten meanwhile
            self._say(await asyncio.to_thread(self._store.get, job.id, None))

    async def _insist(self, change: Callable[[], object]) -> None:
        """Try a change of the store until it can be written."""
        while True:
            try:
                await asyncio.to_thread(change)
            except (InsufficientStorage, sqlite3.Error):
                log.exception("the end of an evaluation cannot be written yet")
                await asyncio.sleep(AGAIN_S)
            else:
                return

    async def _run(self, job: Job) -> Failure | None:
        folder = self._folder_of(job.id)
        within = folder.upload if job.source.uploaded else self._root
        if within is None:
            return ROOT_GONE
        try:
            with self._admit(job) as target:
                course, watched = await self._see_through(job, folder, within, target)
        except OSError as error:
            return _no_room() if is_full(error) else _unexplained()
        except Exception:
            log.exception("an evaluation failed unforeseen")
            return _unexplained()
        if course == "late":
            return Failure(code="deadline_exceeded", detail="The evaluation took too long.")
        if watched.process.returncode == 0 and folder.draft.is_dir():
            return None
        return watched.failure or _unexplained()

    async def _see_through(
        self, job: Job, folder: JobFolder, within: Path, target: Target
    ) -> tuple[Course, Watched]:
        """Run a process to its end; where others leave it no processor, again with more urgency.

        It takes up the embeddings that the first one left.
        """
        until = time.monotonic() + self._limits.deadline_s
        manifest = within / job.source.manifest
        for urgency in URGENCIES[URGENCIES.index(self._limits.urgency) :]:
            async with running(job, folder, manifest, within, target, urgency) as watched:
                course = await self._watch(job, watched, until, hungry=urgency == URGENCIES[-1])
            if course != "starved":
                break
            log.info("evaluation starves", evaluation=job.id, caller=job.owner)
        return course, watched

    async def _watch(self, job: Job, watched: Watched, until: float, *, hungry: bool) -> Course:
        """Follow a process until it ends or should end; a hungry one goes on though it starves."""
        while not watched.ended.done():
            await asyncio.wait({watched.ended}, timeout=POLL_S)
            if not await asyncio.to_thread(self._goes_on, job, watched):
                break
            if time.monotonic() > until:
                return "late"
            if not hungry and watched.starvation.is_there():
                return "starved"
        return "ended"

    def _goes_on(self, job: Job, watched: Watched) -> bool:
        try:
            return self._store.report(job.id, watched.progress)
        except InsufficientStorage:  # its own words about the disk count, not ours
            return True

    def _publish(self, job: Job) -> Failure | None:
        try:
            self._folder_of(job.id).publish()
        except OSError as error:
            return _no_room() if is_full(error) else _unexplained()
        return None

    def _say(self, job: Job) -> None:
        outcome = job.failure.code if job.failure else job.state
        self._on_end(outcome)
        log.info("evaluation ended", evaluation=job.id, caller=job.owner, outcome=outcome)


def _no_room() -> Failure:
    return Failure(
        code=InsufficientStorage.code, detail="The disk is full where evaluations are kept."
    )


def _unexplained() -> Failure:
    return Failure(
        code="evaluation_failed",
        detail="The evaluation's process failed; the log beside its report has more.",
    )
