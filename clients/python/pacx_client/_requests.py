"""What is sent to a server for each question; nothing here touches the network."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Literal, TypeAlias, TypeVar

import httpx

from pacx_client import _responses
from pacx_client._embeddings import Embeddings
from pacx_client._evaluations import Evaluation, EvaluationProtocol, OnServer
from pacx_client._results import Explanation, Prediction, ServedModel
from pacx_client._uploads import Part, Upload, Uploadable, batches, upload, uploads
from pacx_client._version import __version__

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Include: TypeAlias = Literal["embedding", "attention", "anatomy", "read_outs"]
Pooling: TypeAlias = Literal["cls", "mean"]
Outline: TypeAlias = Literal["heart", "lungs", "ratio"]
Crop: TypeAlias = Literal["auto", "thorax", "none"]
PictureFormat: TypeAlias = Literal["png", "svg"]

# Below the server's default limit of 256 MB for a request with several files.
MOST_BYTES = 192 * 1024 * 1024
MOST_FILES = 16
UNPACKING_S = 1800.0
"""A server answers when it has unpacked an archive, for which it may take 900 s of a processor."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """One request and how its answer is read.

    Attributes:
        method: HTTP method.
        path: Below the server's address.
        read: Turns the answer into a result, or raises what went wrong.
        accept: Media type that is wanted.
        query: Query parameters.
        form: Fields of the form beside the files.
        files: Files of the form.
        content: A JSON object, in place of a form.
        pure: Whether asking twice changes nothing; if not, a lost connection is not asked again.
        patience_s: Seconds that the server may be silent over it, where that is long.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    accept: str = "application/json"
    query: Mapping[str, str | list[str]] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Upload, ...] = ()
    content: Mapping[str, str] | None = None
    pure: bool = True
    patience_s: float = 0.0

    def build(self, http: httpx.Client | httpx.AsyncClient, parts: list[Part]) -> httpx.Request:
        """The request of one attempt; ``parts`` are ``files``, opened."""
        usual = http.timeout
        patience_s = None if usual.read is None else max(usual.read, self.patience_s)
        return http.build_request(
            self.method,
            self.path,
            params=self.query,
            data=self.form,
            files=parts,
            json=self.content,
            headers={"Accept": self.accept},
            timeout=httpx.Timeout(
                connect=usual.connect, read=patience_s, write=usual.write, pool=usual.pool
            ),
        )


def headers(api_key: str | None) -> dict[str, str]:
    """Headers of every request."""
    known = {"User-Agent": f"pacx-client/{__version__}"}
    return known if api_key is None else known | {"Authorization": f"Bearer {api_key}"}


def predict(
    file: Uploadable, *, include: Collection[Include], reference: str | None, model: str | None
) -> Call[Prediction]:
    """``POST /predict``."""
    return Call(
        method="POST",
        path="predict",
        read=_responses.prediction,
        query=_given(include=",".join(include) or None, model=model),
        form=_given(reference=reference),
        files=(upload(file),),
    )


def embed(
    files: Uploadable | Iterable[Uploadable], *, pooling: Pooling, model: str | None
) -> list[Call[Embeddings]]:
    """``POST /embeddings``, as many as the server's limits need.

    Raises:
        ValueError: There is no file.
    """
    calls = [
        Call(
            method="POST",
            path="embeddings",
            read=_responses.embeddings,
            query=_given(pooling=pooling, model=model),
            files=batch,
        )
        for batch in batches(uploads(files), most_files=MOST_FILES, most_bytes=MOST_BYTES)
    ]
    if not calls:
        raise ValueError("at least one file is needed")
    return calls


def explain(
    file: Uploadable, *, method: str, target: str | None, versus: str | None, model: str | None
) -> Call[Explanation]:
    """``POST /explanations`` as numbers."""
    return Call(
        method="POST",
        path="explanations",
        read=_responses.explanation,
        query=_given(method=method, target=target, versus=versus, model=model),
        files=(upload(file),),
    )


def film_map(
    file: Uploadable, *, method: str, target: str | None, versus: str | None, model: str | None
) -> Call[NDArray[np.float32]]:
    """``POST /explanations`` as a number for each pixel of the film."""
    return Call(
        method="POST",
        path="explanations",
        read=_responses.film_map,
        accept="application/x-npy",
        query=_given(grid="film", method=method, target=target, versus=versus, model=model),
        files=(upload(file),),
    )


def picture(
    file: Uploadable,
    *,
    method: str,
    target: str | None,
    versus: str | None,
    model: str | None,
    picture_format: PictureFormat,
    opacity: float,
    legend: bool,
    outlines: Collection[Outline] | None,
    crop: Crop,
) -> Call[bytes]:
    """``POST /explanations`` as a picture."""
    return Call(
        method="POST",
        path="explanations",
        read=_responses.png if picture_format == "png" else _responses.svg,
        accept="image/png" if picture_format == "png" else "image/svg+xml",
        query=_given(
            method=method,
            target=target,
            versus=versus,
            model=model,
            opacity=f"{opacity:g}",
            legend=str(legend).lower(),
            outlines=None if outlines is None else ",".join(outlines),
            crop=crop,
        ),
        files=(upload(file),),
    )


def models() -> Call[tuple[ServedModel, ...]]:
    """``GET /models``."""
    return Call(method="GET", path="models", read=_responses.models)


def evaluate(
    films: Uploadable | OnServer,
    *,
    protocols: Collection[EvaluationProtocol],
    labels: Collection[str],
    manifest: str | None,
    replicates: int,
    subsets: int,
    seed: int,
    most_films: int,
) -> Call[Evaluation]:
    """``POST /evaluations``."""
    query: dict[str, str | list[str]] = {"protocol": [*protocols], "label": [*labels]}
    numbers = {"replicates": replicates, "subsets": subsets, "seed": seed, "films": most_films}
    return Call(
        method="POST",
        path="evaluations",
        read=_responses.evaluation,
        query=query
        | _given(manifest=manifest)
        | {name: str(number) for name, number in numbers.items()},
        files=() if isinstance(films, OnServer) else (upload(films),),
        content={"path": films.path} if isinstance(films, OnServer) else None,
        pure=False,
        patience_s=UNPACKING_S,
    )


def evaluations() -> Call[tuple[Evaluation, ...]]:
    """``GET /evaluations``."""
    return Call(method="GET", path="evaluations", read=_responses.evaluations)


def evaluation(name: str) -> Call[Evaluation]:
    """``GET /evaluations/{name}``."""
    return Call(method="GET", path=f"evaluations/{name}", read=_responses.evaluation)


def cancel_evaluation(name: str) -> Call[Evaluation]:
    """``POST /evaluations/{name}/cancel``."""
    return Call(method="POST", path=f"evaluations/{name}/cancel", read=_responses.evaluation)


def delete_evaluation(name: str) -> Call[None]:
    """``DELETE /evaluations/{name}``."""
    return Call(method="DELETE", path=f"evaluations/{name}", read=_responses.nothing)


def evaluation_metrics(name: str) -> Call[Mapping[str, object]]:
    """``GET /evaluations/{name}/metrics``."""
    return Call(method="GET", path=f"evaluations/{name}/metrics", read=_responses.mapping)


def evaluation_report(name: str) -> Call[bytes]:
    """``GET /evaluations/{name}/report`` as a zip."""
    return Call(
        method="GET",
        path=f"evaluations/{name}/report",
        read=_responses.archive,
        accept="application/zip",
    )


def ready() -> Call[bool]:
    """``GET /health/ready``."""
    return Call(method="GET", path="health/ready", read=_responses.ready)


def _given(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}
