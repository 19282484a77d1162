"""The synchronous client."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Collection, Iterable, Mapping
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
        self,
        file: Uploadable,
        *,
        include: Collection[Include] = (),
        reference: str | None = None,
        model: str | None = None,
    ) -> Prediction:
        """Findings of one radiograph.

        Args:
            file: A DICOM, PNG, JPEG or TIFF file.
            include: What else is wanted: ``embedding``, ``attention``, ``read_outs`` (view, sex
                and age, as checks of sanity). ``anatomy`` always comes.
            reference: The caller's own name for the image, echoed in the answer.
            model: Name of a served model; without it the default one.
        """
        return self._ask(_requests.predict(file, include=include, reference=reference, model=model))

    def embed(
        self,
        files: Uploadable | Iterable[Uploadable],
        *,
        pooling: Pooling = "cls",
        model: str | None = None,
    ) -> Embeddings:
        """Embeddings of many radiographs, in the order of the files.

        A long list is sent in several requests. A file that cannot be used does not stop the
        others: see ``Embeddings.failed``.

        Args:
            files: One file or many.
            pooling: ``cls``, the class token, or ``mean``, the mean of the patch tokens.
            model: Name of a served model; without it the default one.

        Raises:
            ModelChanged: The server changed its model in between.
        """
        calls = _requests.embed(files, pooling=pooling, model=model)
        return merge([self._ask(call) for call in calls])

    def explain(
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
        """Where the model looked, as a picture.

        Maps with a sign are blue against the target and orange for it; others are coloured
        between their least and their greatest value.

        Args:
            file: A DICOM, PNG, JPEG or TIFF file.
            method: ``rollout``, ``last_layer``, or another of ``ServedModel.methods``.
            target: The finding to explain, for methods that know one.
            versus: The finding that the target is compared with.
            model: Name of a served model; without it the default one.
            picture_format: ``png``, the map over the film, pixel for pixel, or ``svg``, map and
                outlines in the film's coordinates without the film.
            opacity: Of the strongest colour, in [0, 1]; with 0 there is no map.
            legend: Whether scale and texts are drawn in a corner.
            outlines: Any of ``heart``, ``lungs`` and ``ratio`` (the lines of the cardiothoracic
                ratio); None draws all of them with a map and none without one.
            crop: ``thorax`` shows heart, lungs and a margin, ``none`` the whole film, and
                ``auto`` the thorax where the file says that a name may be burnt into it.

        Raises:
            InvalidInput: It must be cropped to heart and lungs, which were not found.
        """
        return self._ask(
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

    def explain_grid(
        self,
        file: Uploadable,
        *,
        method: str = "rollout",
        target: str | None = None,
        versus: str | None = None,
        model: str | None = None,
    ) -> Explanation:
        """Where the model looked, as numbers on the model's grid; arguments as ``explain``."""
        return self._ask(
            _requests.explain(file, method=method, target=target, versus=versus, model=model)
        )

    def explain_pixels(
        self,
        file: Uploadable,
        *,
        method: str = "rollout",
        target: str | None = None,
        versus: str | None = None,
        model: str | None = None,
    ) -> NDArray[np.float32]:
        """Where the model looked, as a number for each pixel of the film; needs numpy.

        Arguments as ``explain``.

        Returns:
            float32 ``[rows, columns]`` of the film as it is stored.
        """
        return self._ask(
            _requests.film_map(file, method=method, target=target, versus=versus, model=model)
        )

    def models(self) -> tuple[ServedModel, ...]:
        """The models that are being served."""
        return self._ask(_requests.models())

    def evaluate(
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
        """Ask for an evaluation of the default model; ``wait`` waits for its end.

        Files go with the names that the manifest calls them by, and are deleted when the
        evaluation has ended.

        Args:
            films: A folder, or a zip or tar, that holds films and a table of them; or ``OnServer``
                for those that lie there.
            protocols: What is measured.
            labels: Columns of the table to ask about; none means all.
            manifest: The table's name in the folder, where it is not the only one.
            replicates: Bootstrap samples.
            subsets: Few-label subsets.
            seed: Of all that is drawn.
            most_films: That robustness and speed encode again.
        """
        with packed(films) as ready:
            return self._ask(
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

    def evaluations(self) -> tuple[Evaluation, ...]:
        """The evaluations that this key may see, the newest first."""
        return self._ask(_requests.evaluations())

    def evaluation(self, name: str) -> Evaluation:
        """How an evaluation stands; ``name`` is its ``id``."""
        return self._ask(_requests.evaluation(name))

    def wait(
        self,
        name: str,
        *,
        progress: Callable[[Evaluation], object] = silent,
        poll_s: float = 1.0,
    ) -> Evaluation:
        """Wait until an evaluation has ended, however it ends.

        Args:
            name: Its ``id``.
            progress: Told how it stands, whenever that has changed.
            poll_s: Seconds between two looks.
        """
        told = None
        while not (evaluation := self.evaluation(name)).has_ended:
            if evaluation != told:
                progress(evaluation)
                told = evaluation
            time.sleep(poll_s)
        progress(evaluation)
        return evaluation

    def cancel_evaluation(self, name: str) -> Evaluation:
        """End an evaluation that has not ended; gives how it stands then."""
        return self._ask(_requests.cancel_evaluation(name))

    def delete_evaluation(self, name: str) -> None:
        """Cancel an evaluation, and delete its report and all else about it."""
        self._ask(_requests.delete_evaluation(name))

    def evaluation_metrics(self, name: str) -> Mapping[str, object]:
        """``metrics.json`` of a report: every number with its interval, or why there is none."""
        return self._ask(_requests.evaluation_metrics(name))

    def evaluation_report(self, name: str) -> bytes:
        """All files of a report as a zip."""
        return self._ask(_requests.evaluation_report(name))

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
        while (wait_s := self._retry.wait_s(outcome, attempt, pure=call.pure)) is not None:
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
