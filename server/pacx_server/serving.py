"""One model that is being served: its engine, its batcher, and who still uses it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pacx.bundle import resolve
from pacx.engines.protocol import Engine, Precision, Tensor, methods_of
from pacx.engines.replay import Reference, read_reference
from pacx.errors import BundleError, DeadlineExceeded, EngineError, PacxError
from pacx.model import Model, Outputs, load
from pacx.preprocessing import ModelInput, normalise
from pacx.results import Explanation
from pacx.signature import require_signature
from pacx_server.batching import LANES, Answered, Batcher, BatchLimits
from pacx_server.presence import Presence
from pacx_server.schemas import ModelIdentity
from pacx_server.settings import Settings
from pacx_server.telemetry import Telemetry

Pixels = NDArray[np.float32]
CANARY_INTERVAL_S = 5.0
"""An inference within this time says that the engine is alive, so that probes cost nothing."""
CANARY_TIMEOUT_S = 10.0
"""How long a probe waits for the engine to show that it is alive."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What is to be explained: one image's outputs and input, and how."""

    outputs: Outputs
    prepared: ModelInput
    method: str
    target: str | None
    versus: str | None


class _WhileAwaited:
    """An engine that computes nothing more for a caller who has left; others wait for its place."""

    def __init__(self, engine: Engine) -> None:
        self.name = engine.name
        self.precision: Precision = engine.precision
        self.device = engine.device
        self.explanations = methods_of(engine)
        self.awaited = True
        self._engine = engine

    def run(self, graph: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run one graph; see :class:`pacx.engines.protocol.Engine`."""
        if not self.awaited:
            raise EngineError("Nobody waits for the answer.")
        return self._engine.run(graph, inputs)

    def close(self) -> None:
        """Leave the engine to its owner."""


class ServedModel:
    """A model behind a batcher.

    Args:
        source: Name or folder that it was loaded from.
        model: Verified and warmed up.
        canary: What says whether the engine still computes right.
        limits: Of the batcher.
        telemetry: Where batches are counted.
    """

    def __init__(
        self,
        source: str,
        model: Model,
        canary: Reference,
        limits: BatchLimits,
        telemetry: Telemetry,
    ) -> None:
        self.source = source
        self.model = model
        self.identity = _identity(model)
        self._reference = canary
        self._checking: asyncio.Future[bool] | None = None
        self._telemetry = telemetry
        self._engine = ThreadPoolExecutor(LANES + 1, thread_name_prefix="engine")
        self._batcher: Batcher[Pixels, Outputs] = Batcher(self._run, limits, self._observe)
        self._explainer = ThreadPoolExecutor(1, thread_name_prefix="explainer")
        self._users = Presence()
        self._answered_at = time.monotonic()

    @property
    def label(self) -> str:
        """Name and version, for logs."""
        return f"{self.identity.name}@{self.identity.version}"

    @property
    def depth(self) -> int:
        """Images that wait for the engine."""
        return self._batcher.depth

    @property
    def batcher(self) -> Batcher[Pixels, Outputs]:
        """The queue in front of the engine."""
        return self._batcher

    @contextmanager
    def lease(self) -> Iterator[ServedModel]:
        """Keep the model alive until the block ends, even if another takes its place."""
        with self._users.inside():
            yield self

    async def infer(self, pixels: Pixels, *, key: str, deadline: float) -> Answered[Outputs]:
        """Answer one picture.

        Args:
            pixels: float32 ``[size, size]`` in [0, 1], or already normalised ``[3, size, size]``.
            key: The caller.
            deadline: On the event loop's clock.

        Raises:
            QueueFull: Too much is waiting.
            NotReady: The engine is being restarted or stopped.
            DeadlineExceeded: There was no answer in time.
            EngineError: The engine failed on this picture alone.
        """
        return await self._batcher.submit(
            pixels, key=key, size_bytes=pixels.nbytes, deadline=deadline
        )

    async def explain(self, asked: Asked, *, deadline: float) -> Explanation:
        """Explain one image; methods that run the engine many times do so one image at a time.

        Args:
            asked: The question.
            deadline: On the event loop's clock.

        Raises:
            UnknownMethod: The model has no such method.
            UnknownTarget: The model has no such finding.
            DeadlineExceeded: There was no answer in time.
            EngineError: The engine failed.
        """
        model, engine = copy(self.model), _WhileAwaited(self.model.engine)
        model.engine = engine
        explaining = asyncio.get_running_loop().run_in_executor(
            self._explainer,
            model.explain_from,
            asked.outputs,
            asked.prepared,
            asked.method,
            asked.target,
            asked.versus,
        )
        try:
            async with asyncio.timeout_at(deadline):
                return await explaining
        except TimeoutError as error:
            raise DeadlineExceeded("There was no explanation before the deadline.") from error
        finally:
            engine.awaited = False

    async def healthy(self) -> bool:
        """Whether the engine answered lately, or repeats the bundle's reference vectors now.

        All who ask meanwhile wait for one and the same check, and for so long at most: many
        probes cost what one costs, and an engine that hangs is not healthy.
        """
        if not self._batcher.alive:
            return False
        if time.monotonic() - self._answered_at < CANARY_INTERVAL_S:
            return True
        if self._checking is None or self._checking.done():
            loop = asyncio.get_running_loop()
            self._checking = loop.run_in_executor(self._engine, self._canary)
        done, _ = await asyncio.wait([self._checking], timeout=CANARY_TIMEOUT_S)
        return bool(done) and self._checking.result()

    async def retire(self) -> None:
        """Wait until nobody uses the model, then free it."""
        await self._users.wait_empty()
        await self._batcher.drain()
        await asyncio.get_running_loop().run_in_executor(None, self._close)

    def _canary(self) -> bool:
        passed = self._reference.replay(self.model.engine).passed
        if passed:
            self._answered_at = time.monotonic()
        return passed

    async def _run(self, batch: Sequence[Pixels]) -> Sequence[Outputs]:
        return await asyncio.get_running_loop().run_in_executor(self._engine, self._infer, batch)

    def _infer(self, batch: Sequence[Pixels]) -> list[Outputs]:
        values = [self._values(item) for item in batch]
        lone = len(values) == 1
        outputs = self.model.run_normalised(values[0][np.newaxis] if lone else np.stack(values))
        return [outputs[index] for index in range(len(batch))]

    def _values(self, picture: Pixels) -> Pixels:
        if picture.ndim == 3:
            return picture
        return np.asarray(normalise(picture[np.newaxis], self.model.spec)[0])

    def _observe(self, size: int, inference_s: float) -> None:
        self._answered_at = time.monotonic()
        self._telemetry.observe_batch(size, inference_s)

    def _close(self) -> None:
        self._explainer.shutdown(wait=True, cancel_futures=True)
        self._engine.shutdown(wait=True)
        self.model.close()


async def open_served(source: str, settings: Settings, telemetry: Telemetry) -> ServedModel:
    """Load, verify and warm up a bundle, off the event loop, and start its batcher.

    Raises:
        BundleError: The bundle is missing, damaged or inconsistent, or no trusted key signed it.
        EngineUnavailable: Engine or device are not there, or a graph fails its replay here.
        ExtraMissing: The engine's package is not installed.
    """
    model, canary = await asyncio.to_thread(_load, source, settings)
    limits = BatchLimits(
        max_batch=settings.max_batch,
        max_wait_s=settings.max_wait_ms / 1000,
        count=settings.queue_count,
        size_bytes=settings.queue_bytes,
    )
    served = ServedModel(source, model, canary, limits, telemetry)
    served.batcher.start()
    return served


def _load(source: str, settings: Settings) -> tuple[Model, Reference]:
    try:
        return _load_verified(source, settings)
    except (BundleError, EngineError) as error:
        if source in error.detail:
            raise
        raise type(error)(f"{source}: {error.detail}") from error
    except OSError as error:
        raise BundleError(f"{source} cannot be read: {error.strerror}.") from error


def _load_verified(source: str, settings: Settings) -> tuple[Model, Reference]:
    if settings.trusted_keys:
        require_signature(resolve(source), settings.trusted_keys)
    model = load(
        source,
        engine=settings.engine,
        precision=settings.precision,
        device=settings.device,
        threads=settings.engine_threads,
    )
    size = model.spec.size
    try:
        # The first call replays the bundle's reference vectors; the largest batch warms up memory.
        model.run(np.zeros((settings.max_batch, size, size), dtype=np.float32))
        return model, read_reference(model.bundle, "predict")
    except PacxError:
        model.close()
        raise


def _identity(model: Model) -> ModelIdentity:
    return ModelIdentity(
        name=model.manifest.name,
        version=model.manifest.version,
        sha256=model.sha256,
        engine=model.engine.name,
        precision=model.engine.precision,
        simulated_physiology=model.manifest.simulated_physiology,
    )
