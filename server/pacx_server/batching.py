"""Concurrent requests -> engine batches.

There is no fixed delay: when the engine is free it takes what is queued, up to the batch limit.
While one batch runs, a *full* one is handed over in advance, which hides the way to the engine;
a partial one waits for the engine, because it can still grow.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from pacx.errors import DeadlineExceeded, EngineError, NotReady, PacxError, QueueFull
from pacx_server.queueing import FairQueue

Item = TypeVar("Item")
Answer = TypeVar("Answer")
Run: TypeAlias = Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]]
Observer: TypeAlias = Callable[[int, float], None]

LANES = 2  # one batch runs, one is prepared
RESTART_DELAY_S = 0.2

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """What a batcher may hold.

    Attributes:
        max_batch: Items of one batch.
        max_wait_s: How long an idle engine waits for batch mates of the oldest item.
        count: Items that wait.
        size_bytes: Sum of the sizes of the items that wait.
    """

    max_batch: int
    max_wait_s: float = 0.0
    count: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answered(Generic[Answer]):
    """An answer and what it took.

    Attributes:
        answer: What ``run`` returned for the item.
        queue_s: From submission until its batch started.
        inference_s: How long its batch ran, or the lone retry.
        batch_size: How many items were run together.
    """

    answer: Answer
    queue_s: float
    inference_s: float
    batch_size: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Waiter(Generic[Item, Answer]):
    item: Item
    key: str
    size_bytes: int
    since: float
    deadline: float
    future: asyncio.Future[Answered[Answer]]

    def fail(self, error: PacxError) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Batcher(Generic[Item, Answer]):
    """Runs submitted items in batches; every item ends exactly once.

    All of it lives on one event loop, whose clock is the only clock: a loop with virtual time
    makes every run of it deterministic.

    Args:
        run: Answers a batch, in order; it may be called up to ``LANES`` times at once.
        limits: Bounds on batches and on what waits.
        observe: Told the size and the seconds of every batch that succeeded.
    """

    def __init__(
        self,
        run: Run[Item, Answer],
        limits: BatchLimits,
        observe: Observer = lambda size, inference_s: None,  # noqa: ARG005
    ) -> None:
        self._run = run
        self.limits = limits
        self._observe = observe
        self._queue: FairQueue[_Waiter[Item, Answer]] = FairQueue()
        self._running: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._engine_free_since = -math.inf
        self.crashes = 0

    @property
    def depth(self) -> int:
        """Items that wait."""
        return len(self._queue)

    @property
    def size_bytes(self) -> int:
        """Sum of the sizes of the items that wait."""
        return self._queue.size_bytes

    @property
    def alive(self) -> bool:
        """Whether batches are being formed."""
        return self._task is not None and not self._task.done() and not self._closing

    def start(self) -> None:
        """Form batches from now on, and again after a crash, until ``drain``."""
        self._task = asyncio.get_running_loop().create_task(self._serve(), name="batcher")
        self._task.add_done_callback(self._ended)

    async def drain(self) -> None:
        """Take nothing new, finish what is queued or running, and stop."""
        self._closing = True
        while (self._queue and self._task and not self._task.done()) or self._running:
            self._changed.set()
            await asyncio.sleep(0.005)
        self._refuse_all(NotReady("The server is shutting down."))
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def submit(
        self, item: Item, *, key: str = "", size_bytes: int = 0, deadline: float = math.inf
    ) -> Answered[Answer]:
        """Wait for the answer to one item; cancelling the wait takes the item out of the queue.

        Args:
            item: What ``run`` gets.
            key: The caller; callers take turns.
            size_bytes: What the item holds in memory while it waits.
            deadline: On the event loop's clock; an item past it is never handed over, but one that
                was prepared in advance may pass it before the engine begins.

        Raises:
            QueueFull: A bound is reached; the message says which.
            NotReady: The batcher is stopping or has just crashed.
            DeadlineExceeded: No answer before the deadline.
            PacxError: What ``run`` raised for this item, also on its own.
        """
        self._admit(size_bytes)
        loop = asyncio.get_running_loop()
        waiter: _Waiter[Item, Answer] = _Waiter(
            item=item,
            key=key,
            size_bytes=size_bytes,
            since=loop.time(),
            deadline=deadline,
            future=loop.create_future(),
        )
        self._queue.push(waiter)
        self._changed.set()
        try:
            async with asyncio.timeout_at(None if math.isinf(deadline) else deadline):
                return await waiter.future
        except TimeoutError as error:
            raise DeadlineExceeded("There was no answer before the deadline.") from error
        finally:
            self._queue.discard(waiter)

    def _admit(self, size_bytes: int) -> None:
        if not self.alive:
            raise NotReady("The model is restarting or shutting down.", retry_after_s=1)
        if len(self._queue) >= self.limits.count:
            raise QueueFull(
                f"{self.limits.count} images are waiting, which is the limit.", retry_after_s=1
            )
        if self._queue.size_bytes + size_bytes > self.limits.size_bytes:
            raise QueueFull(
                f"Waiting images hold the limit of {self.limits.size_bytes} bytes.",
                retry_after_s=1,
            )

    async def _serve(self) -> None:
        while True:
            await self._turn()
            batch = self._take()
            if batch:
                task = asyncio.get_running_loop().create_task(self._run_batch(batch))
                self._running.add(task)
                task.add_done_callback(self._finished)

    async def _turn(self) -> None:
        while (pause_s := self._pause_s()) > 0:
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if math.isinf(pause_s) else pause_s):
                    await self._changed.wait()

    def _pause_s(self) -> float:
        """Seconds until a batch should start; infinite until something changes."""
        full = len(self._queue) >= self.limits.max_batch
        if not self._queue or len(self._running) >= LANES or (self._running and not full):
            return math.inf
        if full or not self.limits.max_wait_s or self._closing:
            return 0.0
        oldest = min(waiter.since for waiter in self._queue)
        return oldest + self.limits.max_wait_s - asyncio.get_running_loop().time()

    def _take(self) -> list[_Waiter[Item, Answer]]:
        now = asyncio.get_running_loop().time()
        batch: list[_Waiter[Item, Answer]] = []
        while self._queue and len(batch) < self.limits.max_batch:
            waiter = self._queue.pop()
            if not waiter.future.done() and waiter.deadline > now:
                batch.append(waiter)
        return batch

    async def _run_batch(self, batch: list[_Waiter[Item, Answer]]) -> None:
        try:
            await self._attempt(batch)
        except Exception as error:
            log.warning("a batch failed and is retried one by one: %s", type(error).__name__)
            await self._isolate(batch)
        finally:
            for waiter in batch:
                waiter.fail(NotReady("The engine was stopped.", retry_after_s=1))

    async def _attempt(self, batch: Sequence[_Waiter[Item, Answer]]) -> None:
        clock = asyncio.get_running_loop().time
        handed_over = clock()
        answers = await self._run([waiter.item for waiter in batch])
        if len(answers) != len(batch):
            raise EngineError("The engine returned another number of rows than it was given.")
        # A batch that was prepared in advance still queued until the one before it had ended.
        started = max(handed_over, self._engine_free_since)
        self._engine_free_since = clock()
        inference_s = self._engine_free_since - started
        for waiter, answer in zip(batch, answers, strict=True):
            if not waiter.future.done():
                waiter.future.set_result(
                    Answered(
                        answer=answer,
                        queue_s=started - waiter.since,
                        inference_s=inference_s,
                        batch_size=len(batch),
                    )
                )
        self._observe(len(batch), inference_s)

    async def _isolate(self, batch: Sequence[_Waiter[Item, Answer]]) -> None:
        for waiter in batch:
            if waiter.future.done():
                continue
            try:
                await self._attempt([waiter])
            except PacxError as error:
                waiter.fail(error)
            except Exception:
                log.exception("the engine failed on a lone request")
                waiter.fail(EngineError("The engine failed."))

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._changed.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Supervise: answer who waits, then start again."""
        if self._closing:
            return
        self.crashes += 1
        error = None if task.cancelled() else task.exception()
        log.error("the batcher stopped and is restarted", exc_info=error)
        self._refuse_all(NotReady("The model is being restarted.", retry_after_s=1))
        asyncio.get_running_loop().call_later(RESTART_DELAY_S, self._restart)

    def _restart(self) -> None:
        if not self._closing:
            self.start()

    def _refuse_all(self, error: PacxError) -> None:
        for waiter in list(self._queue):
            waiter.fail(error)
