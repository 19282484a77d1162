"""The synchronous client."""

from __future__ import annotations

import ssl
import time
from collections.abc import Collection, Iterable
from types import TracebackType
from typing import Self, TypeVar

import httpx

from pacx_client import _requests
from pacx_client._embeddings import Embeddings, merge
from pacx_client._requests import Call, Include, Pooling
from pacx_client._results import Explanation, Prediction, ServedModel
from pacx_client._retry import Outcome, RetryPolicy, answered
from pacx_client._uploads import Uploadable, open_parts

T = TypeVar("T")


class PacxClient:
    """Asks a PaCX server about radiographs.

    Safe to use from several threads, and best used as a context manager. A file is a path, bytes
    or a binary stream; it is streamed, and its name is never sent. Every method raises
    ``ConnectionFailed`` where no answer came and a ``PacxApiError`` where the server said no.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 60.0,
        retries: int = 3,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        """Prepare a client; nothing is sent yet.

        Args:
            base_url: Address of the server, such as ``http://127.0.0.1:8000``.
            api_key: Key or token, sent as ``Authorization: Bearer``.
            timeout_s: Longest silence of the network in seconds, not of the whole call.
            retries: How often a call is repeated when the server is full or the connection lost.
            verify: The certificates to trust, for servers behind an authority of their own.
        """
        self._retry = RetryPolicy(retries=retries)
        self._http = httpx.Client(
            base_url=base_url,
            headers=_requests.headers(api_key),
            timeout=timeout_s,
            verify=verify,
        )

    def predict(
        self, file: Uploadable, *, include: Collection[Include] = (), reference: str | None = None
    ) -> Prediction:
        """Findings of one radiograph.

        Args:
            file: A DICOM, PNG, JPEG or TIFF file.
            include: What else is wanted: ``embedding``, ``attention``. ``anatomy`` always comes.
            reference: The caller's own name for the image, echoed in the answer.
        """
        return self._ask(_requests.predict(file, include=include, reference=reference))

    def embed(
        self,
        files: Uploadable | Iterable[Uploadable],
        *,
        pooling: Pooling = "cls",
    ) -> Embeddings:
        """Embeddings of many radiographs, in the order of the files.

        A long list is sent in several requests. A file that cannot be used does not stop the
        others: see ``Embeddings.failed``.

        Args:
            files: One file or many.
            pooling: ``cls``, the class token, or ``mean``, the mean of the patch tokens.

        Raises:
            ModelChanged: The server changed its model in between.
        """
        calls = _requests.embed(files, pooling=pooling)
        return merge([self._ask(call) for call in calls])

    def explain(
        self, file: Uploadable, *, method: str = "rollout", target: str | None = None
    ) -> bytes:
        """Where the model looked, as a PNG of the size of the original picture.

        Args:
            file: A DICOM, PNG, JPEG or TIFF file.
            method: ``rollout``, ``last_layer``, or another that the model offers.
            target: The finding to explain, for methods that know one.
        """
        return self._ask(_requests.overlay(file, method=method, target=target))

    def explain_grid(
        self, file: Uploadable, *, method: str = "rollout", target: str | None = None
    ) -> Explanation:
        """Where the model looked, as numbers on the model's grid; arguments as ``explain``."""
        return self._ask(_requests.explain(file, method=method, target=target))

    def models(self) -> tuple[ServedModel, ...]:
        """The models that are being served."""
        return self._ask(_requests.models())

    def ready(self) -> bool:
        """Whether the server answers questions now; never waits and never retries."""
        return _requests.ready().read(answered(self._attempt(_requests.ready())))

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, call: Call[T]) -> T:
        attempt = 1
        outcome = self._attempt(call)
        while (wait_s := self._retry.wait_s(outcome, attempt)) is not None:
            time.sleep(wait_s)
            attempt += 1
            outcome = self._attempt(call)
        return call.read(answered(outcome))

    def _attempt(self, call: Call[T]) -> Outcome:
        stack, parts = open_parts(call.files)
        with stack:
            try:
                return self._http.send(call.build(self._http, parts))
            except httpx.RequestError as error:
                return error
