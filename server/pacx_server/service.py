"""The service behind the routes: its parts, and how it starts, drains and stops."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import structlog

from pacx.errors import EngineError, NotReady, PacxError
from pacx.reading import ReadingLimits, ReadingOptions
from pacx_server.admission import Admission
from pacx_server.audit import AuditLog
from pacx_server.catalogue import Catalogue
from pacx_server.courtesy import Courtesy
from pacx_server.decoder import Confinement
from pacx_server.decoding import DecoderPool
from pacx_server.drawing import Drawing
from pacx_server.evaluations.evaluations import Evaluations
from pacx_server.evaluations.tickets import Tickets
from pacx_server.examination import Examiner
from pacx_server.oidc import TokenVerifier
from pacx_server.security import Authenticator, Principal
from pacx_server.settings import Settings
from pacx_server.telemetry import Telemetry
from pacx_server.tracing import open_tracing
from pacx_server.uploads import FORM_OVERHEAD_BYTES, UploadLimits

BACKGROUND_DEADLINE_S = 3600.0
DESCRIBING = 4
"""Threads that say what was found; one is woken sooner than anyio, which takes turns, does it."""
State = Literal["starting", "ready", "draining", "failed"]

log = structlog.get_logger("pacx.service")


class Service:
    """Everything that lives as long as the server.

    Args:
        settings: How the server runs.
        on_failure: Told the error where the models cannot be served at all.
    """

    def __init__(
        self,
        settings: Settings,
        on_failure: Callable[[PacxError], None] = lambda error: None,  # noqa: ARG005
    ) -> None:
        self.settings = settings
        self.telemetry = Telemetry()
        self.tracing = open_tracing()
        self.audit = AuditLog(settings.audit_log, settings.audit_key)
        verifier = None if settings.oidc is None else TokenVerifier(settings.oidc)
        self.authenticator = Authenticator(settings.api_keys, verifier)
        self.admission = Admission(
            count=settings.queue_count,
            size_bytes=settings.queue_bytes,
            shared=settings.authenticated,
        )
        self.catalogue = Catalogue(settings, self.telemetry)
        self.decoders = _decoder_pool(settings, self.telemetry)
        self.examiner = Examiner(self.decoders, self.telemetry, self.audit)
        self.courtesy = Courtesy(
            share=settings.evaluation_share, observe=self.telemetry.evaluation_wait_s.observe
        )
        self.drawing = Drawing()
        self.describing = ThreadPoolExecutor(DESCRIBING, thread_name_prefix="describing")
        self.tickets = Tickets()
        self.evaluations = Evaluations(settings, self.authenticator, self.telemetry)
        self.state: State = "starting"
        self.settled = asyncio.Event()
        self._on_failure = on_failure
        self._starting: asyncio.Task[None] | None = None
        self._watch()

    @property
    def one_file(self) -> UploadLimits:
        """Limits of a request with one radiograph."""
        return self._limits(files=1, body_bytes=self.settings.max_file_bytes + FORM_OVERHEAD_BYTES)

    @property
    def many_files(self) -> UploadLimits:
        """Limits of a request with several radiographs."""
        settings = self.settings
        return self._limits(files=settings.max_files, body_bytes=settings.max_request_bytes)

    def deadline(self, caller: Principal) -> float:
        """Until when a request whose body is complete now must be answered; the loop's clock.

        Who gives way to everybody else has time.
        """
        patience_s = BACKGROUND_DEADLINE_S if caller.background else self.settings.deadline_s
        return asyncio.get_running_loop().time() + patience_s

    def start(self) -> None:
        """Load everything in the background; until then requests are answered with 503."""
        self.admission.refusal = NotReady("The models are being loaded.", retry_after_s=1)
        self._starting = asyncio.get_running_loop().create_task(self._start())

    async def ready(self) -> bool:
        """Whether a request would be answered now, shown by an inference."""
        if self.state != "ready" or not self.decoders.alive:
            return False
        return all([await served.healthy() for served in self.catalogue])

    async def drain(self) -> None:
        """Admit nothing new, and wait until all that was admitted has been answered."""
        self.state = "draining"
        self.admission.refusal = NotReady("The server is shutting down.", retry_after_s=5)
        await self.evaluations.stop()
        await self.admission.presence.wait_empty()

    async def close(self) -> None:
        """Free models and processes."""
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        await self.evaluations.close()
        await self.catalogue.close()
        await self.decoders.close()
        self.describing.shutdown(wait=False)
        self.audit.close()
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.close)

    async def _start(self) -> None:
        try:
            # One after the other: decoders are forked from a process without threads or secrets.
            await self.decoders.start()
            await self.catalogue.load()
        except PacxError as error:
            self.state = "failed"
            self._on_failure(error)
        except Exception as error:
            log.exception("the server cannot start")
            self.state = "failed"
            self._on_failure(EngineError(f"The server cannot start ({type(error).__name__})."))
        else:
            self._open()
        self.settled.set()

    def _open(self) -> None:
        if self.state == "draining":
            return
        # A full collection would hold up every request while it looks at all that was loaded.
        gc.collect()
        gc.freeze()
        self.state = "ready"
        self.admission.refusal = None
        self.evaluations.start()
        log.info("ready", models=[served.label for served in self.catalogue])

    def _limits(self, *, files: int, body_bytes: int) -> UploadLimits:
        return UploadLimits(
            files=files,
            file_bytes=self.settings.max_file_bytes,
            body_bytes=body_bytes,
            timeout_s=self.settings.body_timeout_s,
        )

    def _watch(self) -> None:
        watch = self.telemetry.watch
        depth = "Images that wait for an engine."
        watch("pacx_queue_depth", depth, lambda: sum(served.depth for served in self.catalogue))
        watch("pacx_inflight_bytes", "Bytes of uploads in work.", lambda: self.admission.bytes_held)
        watch(
            "pacx_batcher_restarts",
            "Times that a batcher crashed and was restarted.",
            lambda: sum(served.batcher.crashes for served in self.catalogue),
        )
        watch("pacx_inflight_images", "Images in work.", lambda: self.admission.images)


def _decoder_pool(settings: Settings, telemetry: Telemetry) -> DecoderPool:
    confinement = Confinement(
        memory_bytes=settings.decode_memory_bytes,
        cpu_s=settings.decode_cpu_s,
        reading=ReadingLimits(file_bytes=settings.max_file_bytes, pixels=settings.max_pixels),
        options=ReadingOptions(refuse_lateral=settings.refuse_lateral),
    )
    return DecoderPool(
        workers=settings.decode_workers,
        confinement=confinement,
        deadline_s=settings.decode_deadline_s,
        recycle_after=settings.decode_recycle_after,
        on_replacement=lambda reason: telemetry.replacements.labels(reason).inc(),
    )
