"""The asynchronous client, for asyncio."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import httpx

from pacx_client import _requests
from pacx_client._embeddings import Embeddings, merge
from pacx_client._evaluations import (
    LINEAR,
    Evaluation,
    EvaluationProtocol,
    OnServer,
    packed,
    silent,
)
from pacx_client._requests import Call, Crop, Include, Outline, PictureFormat, Pooling
from pacx_client._results import Explanation, Prediction, ServedModel
from pacx_client._retry import Outcome, RetryPolicy, answered
from pacx_client._uploads import Uploadable, open_parts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")


class AsyncPacxClient:
    """``PacxClient`` for asyncio: same arguments, same answers, same errors.

    Files are opened and read in threads, so that a slow disk never blocks the event loop.
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
        """Prepare a client; arguments as ``PacxClient``."""
        self._retry = RetryPolicy(retries=retries)
        self._http = httpx.AsyncClient(
            base_url=base_url,
            headers=_requests.headers(api_key),
            timeout=timeout_s,
            verify=verify,
        )

    async def predict(
        self,
        file: Uploadable,
        *,
        include: Collection[Include] = (),
        reference: str | None = None,
        model: str | None = None,
    ) -> Prediction:
        """Findings of one radiograph; see ``PacxClient.predict``."""
        return await self._ask(
            _requests.predict(file, include=include, reference=reference, model=model)
        )

    async def embed(
        self,
        files: Uploadable | Iterable[Uploadable],
        *,
        pooling: Pooling = "cls",
        model: str | None = None,
    ) -> Embeddings:
        """Embeddings of many radiographs; see ``PacxClient.embed``."""
        calls = await asyncio.to_thread(_requests.embed, files, pooling=pooling, model=model)
        return merge([await self._ask(call) for call in calls])

    async def explain(
        self,
        file: Uploadable,
        *,
        method: str = "rollout",
        target: str | None = None,
        versus: str | None = None,
        model: str | None = None,
        picture_format: PictureFormat = "png",
        opacity: float = 0.5,
        legend: bool = True,
        outlines: Collection[Outline] | None = None,
        crop: Crop = "auto",
    ) -> bytes:
        """Where the model looked, as a picture; see ``PacxClient.explain``."""
        return await self._ask(
            _requests.picture(
                file,
                method=method,
                target=target,
                versus=versus,
                model=model,
                picture_format=picture_format,
                opacity=opacity,
                legend=legend,
                outlines=outlines,
                crop=crop,
            )
        )

    async def explain_grid(
        self,
        file: Uploadable,
        *,
        method: str = "rollout",
        target: str | None = None,
        versus: str | None = None,
        model: str | None = None,
    ) -> Explanation:
        """Where the model looked, as numbers; see ``PacxClient.explain_grid``."""
        return await self._ask(
            _requests.explain(file, method=method, target=target, versus=versus, model=model)
        )

    async def explain_pixels(
        self,
        file: Uploadable,
        *,
        method: str = "rollout",
        target: str | None = None,
        versus: str | None = None,
        model: str | None = None,
    ) -> NDArray[np.float32]:
        """Where the model looked, on the film's pixels; see ``PacxClient.explain_pixels``."""
        return await self._ask(
            _requests.film_map(file, method=method, target=target, versus=versus, model=model)
        )

    async def models(self) -> tuple[ServedModel, ...]:
        """The models that are being served."""
        return await self._ask(_requests.models())

    async def evaluate(
        self,
        films: Uploadable | OnServer,
        *,
        protocols: Collection[EvaluationProtocol] = LINEAR,
        labels: Collection[str] = (),
        manifest: str | None = None,
        replicates: int = 2000,
        subsets: int = 5,
        seed: int = 0,
        most_films: int = 200,
    ) -> Evaluation:
        """Ask for an evaluation of the default model; see ``PacxClient.evaluate``."""
        with await asyncio.to_thread(packed, films) as ready:
            return await self._ask(
                _requests.evaluate(
                    ready,
                    protocols=protocols,
                    labels=labels,
                    manifest=manifest,
                    replicates=replicates,
                    subsets=subsets,
                    seed=seed,
                    most_films=most_films,
                )
            )

    async def evaluations(self) -> tuple[Evaluation, ...]:
        """The evaluations that this key may see, the newest first."""
        return await self._ask(_requests.evaluations())

    async def evaluation(self, name: str) -> Evaluation:
        """How an evaluation stands; ``name`` is its ``id``."""
        return await self._ask(_requests.evaluation(name))

    async def wait(
        self,
        name: str,
        *,
        progress: Callable[[Evaluation], object] = silent,
        poll_s: float = 1.0,
    ) -> Evaluation:
        """Wait until an evaluation has ended; see ``PacxClient.wait``."""
        told = None
        while not (evaluation := await self.evaluation(name)).has_ended:
            if evaluation != told:
                progress(evaluation)
                told = evaluation
            await asyncio.sleep(poll_s)
        progress(evaluation)
        return evaluation

    async def cancel_evaluation(self, name: str) -> Evaluation:
        """End an evaluation that has not ended; gives how it stands then."""
        return await self._ask(_requests.cancel_evaluation(name))

    async def delete_evaluation(self, name: str) -> None:
        """Cancel an evaluation, and delete its report and all else about it."""
        await self._ask(_requests.delete_evaluation(name))

    async def evaluation_metrics(self, name: str) -> Mapping[str, object]:
        """``metrics.json`` of a report: every number with its interval, or why there is none."""
        return await self._ask(_requests.evaluation_metrics(name))

    async def evaluation_report(self, name: str) -> bytes:
        """All files of a report as a zip."""
        return await self._ask(_requests.evaluation_report(name))

    async def ready(self) -> bool:
        """Whether the server answers questions now; never waits and never retries."""
        return _requests.ready().read(answered(await self._attempt(_requests.ready())))

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _ask(self, call: Call[T]) -> T:
        attempt = 1
        outcome = await self._attempt(call)
        while (wait_s := self._retry.wait_s(outcome, attempt, pure=call.pure)) is not None:
            await asyncio.sleep(wait_s)
            attempt += 1
            outcome = await self._attempt(call)
        return call.read(answered(outcome))

    async def _attempt(self, call: Call[T]) -> Outcome:
        stack, parts = await asyncio.to_thread(open_parts, call.files)
        with stack:
            request = call.build(self._http, parts)
            if parts:
                request.stream = _ThreadedStream(request.stream)
            try:
                return await self._http.send(request)
            except httpx.RequestError as error:
                return error


class _ThreadedStream(httpx.AsyncByteStream):
    """Reads the next piece of a form in a thread."""

    def __init__(self, form: httpx.SyncByteStream | httpx.AsyncByteStream) -> None:
        if not isinstance(form, httpx.SyncByteStream):
            raise TypeError("a form can be read without an event loop")
        self._form = form

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = iter(self._form)
        while piece := await asyncio.to_thread(next, pieces, b""):
            yield piece
