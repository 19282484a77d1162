"""Triton, or any server of the Open Inference Protocol V2, as a remote engine.

A graph runs as the remote model ``<bundle>_<graph>``, as ``pacx export triton`` names them, or, for
``predict``, as ``<bundle>``, as another PaCX names it. That the remote model is the right one is
shown as for every engine: by the replay of the bundle's reference vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from threading import local
from types import ModuleType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np

from pacx.bundle import Bundle
from pacx.engines.base import GraphEngine, Runner, graph_name, in_parts
from pacx.engines.protocol import Precision, Tensor
from pacx.errors import EngineError, EngineUnavailable, ExtraMissing
from pacx.manifest import GraphSpec

if TYPE_CHECKING:
    from tritonclient.http import InferenceServerClient

ROWS = 8
"""The most images of one remote call; ``pacx export triton`` allows as many by default.

Fewer are sent where the remote model's ``max_batch_size`` is smaller."""


class TritonEngine(GraphEngine):
    """Sends tensors to a V2 server in its binary form, over one connection a thread."""

    name = "triton"

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: str = "cpu",
        precision: Precision | None = None,
        threads: int | None = None,  # noqa: ARG002 (the server decides)
    ) -> None:
        """Note the address; the server is asked when a graph is first run.

        Args:
            bundle: Whose graphs the server holds.
            device: Its address, such as ``http://gpu-box:8000``.
            precision: What the server computes in, which sets the tolerance; None means f32.
            threads: Ignored.

        Raises:
            ExtraMissing: tritonclient is not installed.
            EngineUnavailable: ``device`` is no address.
        """
        self._library = _library()
        address = urlsplit(device)
        if address.scheme not in ("http", "https") or not address.netloc:
            raise EngineUnavailable("Triton's device is its address, such as http://host:8000.")
        self._host, self._ssl = address.netloc, address.scheme == "https"
        self._of_thread = local()
        self._clients: list[InferenceServerClient] = []
        super().__init__(bundle, precision=precision or "f32", device=device)

    def close(self) -> None:
        """Close the connections of all threads; later calls of ``run`` fail."""
        super().close()
        while self._clients:
            self._clients.pop().close()

    def load(self, spec: GraphSpec) -> Runner:
        """Find the remote model of a graph."""
        model = self._find(spec)
        most = self._most_rows(model)

        def run(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
            parts = [self._infer(model, spec, part) for part in in_parts(inputs, most)]
            return {
                tensor.name: np.concatenate([p[tensor.name] for p in parts])
                for tensor in spec.outputs
            }

        return run

    def _find(self, spec: GraphSpec) -> str:
        name = self.bundle.manifest.name
        graph = graph_name(self.bundle, spec)
        candidates = [f"{name}_{graph}", *([name] if graph == "predict" else [])]
        try:
            for candidate in candidates:
                if self._client().is_model_ready(candidate):
                    return candidate
        except (OSError, self._library.utils.InferenceServerException) as error:
            raise EngineUnavailable("The Triton server does not answer.") from error
        raise EngineUnavailable(f"The Triton server has no model {' or '.join(candidates)}.")

    def _most_rows(self, model: str) -> int:
        """What the remote model takes at once; 0 is Triton's word for not batching by itself."""
        try:
            limit = self._client().get_model_config(model).get("max_batch_size", 0)
        except self._library.utils.InferenceServerException:
            limit = 0  # the protocol itself knows no configurations
        except OSError as error:
            raise EngineUnavailable("The Triton server does not answer.") from error
        return min(ROWS, limit) if limit > 0 else ROWS

    def _infer(
        self, model: str, spec: GraphSpec, inputs: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        http = self._library.http
        given = []
        for name, array in inputs.items():
            given.append(http.InferInput(name, list(array.shape), "FP32"))
            given[-1].set_data_from_numpy(np.ascontiguousarray(array), binary_data=True)
        wanted = [http.InferRequestedOutput(t.name, binary_data=True) for t in spec.outputs]
        try:
            answer = self._client().infer(model, given, outputs=wanted)
        except (OSError, self._library.utils.InferenceServerException) as error:
            raise EngineError(f"The Triton server failed to run {model}.") from error
        return {tensor.name: answer.as_numpy(tensor.name) for tensor in spec.outputs}

    def _client(self) -> InferenceServerClient:
        """One a thread, because the library's connections belong to the thread that made them."""
        if not hasattr(self._of_thread, "client"):
            made = self._library.http.InferenceServerClient(self._host, ssl=self._ssl)
            self._clients.append(made)
            self._of_thread.client = made
        client: InferenceServerClient = self._of_thread.client
        return client


def _library() -> ModuleType:
    try:
        import_module("tritonclient.http")
        return import_module("tritonclient")
    except ImportError as error:
        raise ExtraMissing('tritonclient is not installed: pip install "pacx[triton]".') from error
