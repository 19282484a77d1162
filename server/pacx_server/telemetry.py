"""Numbers for operators, under the names that serving.md's users expect; no patient data.

Every application has a registry of its own, so that several can live in one process.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from pacx.errors import PacxError
from pacx_server.schemas import ModelIdentity

__all__ = ["CONTENT_TYPE", "Telemetry"]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Telemetry:
    """All metrics of one application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("pacx_requests", "Requests.", ("route", "outcome"))
        self.request_s = self._histogram(
            "pacx_request_duration_seconds", "From request line to answer.", ("route",)
        )
        self.decode_s = self._histogram("pacx_decode_seconds", "Decoding one file.")
        self.queue_s = self._histogram("pacx_queue_seconds", "One image waiting for the engine.")
        self.inference_s = self._histogram("pacx_inference_seconds", "One batch in the engine.")
        self.batch_size = Histogram(
            "pacx_batch_size", "Images of one batch.", buckets=SIZES, registry=self.registry
        )
        self.replacements = self._counter(
            "pacx_decoder_replacements", "Decoding processes replaced.", ("reason",)
        )
        self.reloads = self._counter("pacx_model_reloads", "Models reloaded.", ("outcome",))
        self.evaluations = self._counter(
            "pacx_evaluations", "Evaluations that ended here.", ("outcome",)
        )
        self.evaluation_wait_s = self._histogram(
            "pacx_evaluation_wait_seconds", "One step of an evaluation's film giving way to others."
        )
        self.model_info = Gauge(
            "pacx_model_info",
            "1 for every model that is served.",
            ("name", "version", "sha256", "engine", "precision"),
            registry=self.registry,
        )

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def watch(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """Add a gauge whose value is read when it is asked for."""
        Gauge(name, documentation, registry=self.registry).set_function(read)

    def refuse(self, error: PacxError) -> None:
        """Count a request that never came to a route."""
        self.requests.labels("none", error.code).inc()

    def observe_batch(self, size: int, inference_s: float) -> None:
        """Count one batch that the engine has run."""
        self.batch_size.observe(size)
        self.inference_s.observe(inference_s)

    def announce(self, model: ModelIdentity, *, served: bool) -> None:
        """Say that a model is served from now on, or no longer."""
        labels = (model.name, model.version, model.sha256, model.engine, model.precision)
        if served:
            self.model_info.labels(*labels).set(1)
        else:
            self.model_info.remove(*labels)

    def _counter(self, name: str, documentation: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(name, documentation, labels, registry=self.registry)

    def _histogram(self, name: str, documentation: str, labels: tuple[str, ...] = ()) -> Histogram:
        return Histogram(name, documentation, labels, buckets=SECONDS, registry=self.registry)
