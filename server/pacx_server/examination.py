"""One radiograph on its way: decoded in a guarded process, then answered by a model."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pacx.errors import DeadlineExceeded, EngineError, PacxError
from pacx.model import Outputs
from pacx_server.audit import AuditLog
from pacx_server.batching import Answered
from pacx_server.context import RequestContext
from pacx_server.courtesy import GiveWay
from pacx_server.decoding import DecoderPool
from pacx_server.pieces import File, sha256_of
from pacx_server.schemas import Timing
from pacx_server.serving import ServedModel
from pacx_server.telemetry import Telemetry
from pacx_server.worker import Decoded


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Examination:
    """What a model computed for one file.

    Attributes:
        decoded: The file's pixels and facts.
        outputs: Of the model, with a leading axis of length 1.
        decode_s: Decoding and resizing, with the way to the process and back.
        queue_s: Waiting for the engine.
        inference_s: The batch that the picture was in.
    """

    decoded: Decoded
    outputs: Outputs
    decode_s: float
    queue_s: float
    inference_s: float

    def timing(self, context: RequestContext) -> Timing:
        """Where the time of the request went, milliseconds."""
        return Timing(
            decode=round(self.decode_s * 1000, 3),
            queue=round(self.queue_s * 1000, 3),
            inference=round(self.inference_s * 1000, 3),
            total=round(context.total_s * 1000, 3),
        )


async def ask(
    served: ServedModel, pixels: NDArray[np.float32], context: RequestContext, *, deadline: float
) -> Answered[Outputs]:
    """Let a model answer one picture, and keep in the request's context what it took.

    Takes and raises what :meth:`ServedModel.infer` does.
    """
    asked = time.perf_counter()
    try:
        answered = await served.infer(pixels, key=context.caller or "", deadline=deadline)
    except (PacxError, asyncio.CancelledError) as error:
        name = "inference" if isinstance(error, EngineError) else "queue"
        context.end_phase(name, asked, error)
        raise
    context.observe(
        queue_s=answered.queue_s,
        inference_s=answered.inference_s,
        batch_size=answered.batch_size,
    )
    return answered


class Examiner:
    """Takes files through decoding and a model."""

    def __init__(self, decoders: DecoderPool, telemetry: Telemetry, audit: AuditLog) -> None:
        self._decoders = decoders
        self._audit = audit
        self._telemetry = telemetry

    async def examine(
        self,
        data: File,
        served: ServedModel,
        context: RequestContext,
        *,
        deadline: float,
        picture: bool = False,
        give_way: GiveWay | None = None,
    ) -> Examination:
        """Examine one file.

        Args:
            data: The file.
            served: Who is asked.
            context: Of the request; keeps the times.
            deadline: On the event loop's clock.
            picture: Also return the film for display.
            give_way: Lets others go first between the two steps.

        Raises:
            InputError: The file cannot be used.
            DeadlineExceeded: There was no answer in time.
            ServiceError: The model cannot take it now.
            EngineError: The engine failed on this file alone.
        """
        started = time.perf_counter()
        with context.phase("decode"):
            decoded = await self._decode(data, served, context.caller or "", deadline, picture)
        if self._audit.wants_pseudonyms:
            digest = decoded.study_sha256 or sha256_of(data)
            context.studies.append(self._audit.pseudonym(digest))
        decode_s = time.perf_counter() - started
        if give_way is not None:
            await give_way()
        answered = await ask(served, decoded.input.pixels, context, deadline=deadline)
        self._telemetry.queue_s.observe(answered.queue_s)
        return Examination(
            decoded=decoded,
            outputs=answered.answer,
            decode_s=decode_s,
            queue_s=answered.queue_s,
            inference_s=answered.inference_s,
        )

    async def _decode(
        self, data: File, served: ServedModel, key: str, deadline: float, picture: bool
    ) -> Decoded:
        spec = served.model.spec
        try:
            async with asyncio.timeout_at(deadline):
                decoded = await self._decoders.decode(
                    data, spec, key=key, picture=picture, study=self._audit.wants_pseudonyms
                )
        except TimeoutError as error:
            raise DeadlineExceeded("The file was not decoded before the deadline.") from error
        self._telemetry.decode_s.observe(decoded.decode_s)
        return decoded
