"""From a server's answers to results, or to the error that belongs to them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

import httpx

from pacx_client._decoding import decode
from pacx_client._embeddings import Embeddings
from pacx_client._errors import PacxApiError, Problem, UnexpectedAnswer, error_for
from pacx_client._evaluations import Evaluation
from pacx_client._results import Explanation, Prediction, ServedModel
from pacx_client._retry import retry_after_s

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")
_ZIP_SIGNATURE = b"PK\x03\x04"
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SVG_SIGNATURE = b"<svg "


def prediction(response: httpx.Response) -> Prediction:
    """Read the answer of ``POST /predict``.

    Raises:
        PacxApiError: The server answered with a problem.
        UnexpectedAnswer: The answer is none of a PaCX server.
    """
    return decode(Prediction, _json(response))


def embeddings(response: httpx.Response) -> Embeddings:
    """Read the answer of ``POST /embeddings``; raises as ``prediction`` does."""
    return decode(Embeddings, _json(response))


def explanation(response: httpx.Response) -> Explanation:
    """Read the answer of ``POST /explanations``; raises as ``prediction`` does."""
    return decode(Explanation, _json(response))


def film_map(response: httpx.Response) -> NDArray[np.float32]:
    """Read a map on a film's pixels, float32 ``[rows, columns]``; raises as ``prediction`` does."""
    import numpy as np

    _check(response)
    try:
        numbers: NDArray[np.float32] = np.load(io.BytesIO(response.content), allow_pickle=False)
    except (ValueError, EOFError) as fault:
        raise UnexpectedAnswer("the answer is no array of numpy") from fault
    if numbers.ndim != 2 or numbers.dtype != np.float32:
        raise UnexpectedAnswer("the answer is no map of float32 on a film's pixels")
    return numbers


def models(response: httpx.Response) -> tuple[ServedModel, ...]:
    """Read the answer of ``GET /models``; raises as ``prediction`` does."""
    return decode(tuple[ServedModel, ...], _json(response))


def evaluation(response: httpx.Response) -> Evaluation:
    """Read the answer about one evaluation; raises as ``prediction`` does."""
    return decode(Evaluation, _json(response))


def evaluations(response: httpx.Response) -> tuple[Evaluation, ...]:
    """Read the answer of ``GET /evaluations``; raises as ``prediction`` does."""
    return decode(tuple[Evaluation, ...], _json(response))


def mapping(response: httpx.Response) -> Mapping[str, object]:
    """Read any JSON object; raises as ``prediction`` does."""
    return decode(Mapping[str, object], _json(response))  # type: ignore[type-abstract]


def archive(response: httpx.Response) -> bytes:
    """Read a zip; raises as ``prediction`` does."""
    _check(response)
    if not response.content.startswith(_ZIP_SIGNATURE):
        raise UnexpectedAnswer("the answer is no zip")
    return response.content


def nothing(response: httpx.Response) -> None:
    """Read an answer without a body; raises ``PacxApiError``."""
    _check(response)


def png(response: httpx.Response) -> bytes:
    """Read a picture of pixels; raises as ``prediction`` does."""
    _check(response)
    if not response.content.startswith(_PNG_SIGNATURE):
        raise UnexpectedAnswer("the answer is no PNG")
    return response.content


def svg(response: httpx.Response) -> bytes:
    """Read a picture of shapes; raises as ``prediction`` does."""
    _check(response)
    if not response.content.startswith(_SVG_SIGNATURE):
        raise UnexpectedAnswer("the answer is no SVG")
    return response.content


def ready(response: httpx.Response) -> bool:
    """Read the answer of ``GET /health/ready``: 503 means not yet, or not any more.

    Raises:
        PacxApiError: The server answered with another problem.
    """
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return False
    _check(response)
    return True


def error(response: httpx.Response) -> PacxApiError:
    """The error behind an answer that is no success (RFC 9457, or anything else)."""
    try:
        problem = decode(Problem, {**json.loads(response.content), "status": response.status_code})
    except (ValueError, TypeError, UnexpectedAnswer):
        problem = Problem(status=response.status_code, title=response.reason_phrase)
    return error_for(problem, retry_after_s(response))


def _check(response: httpx.Response) -> None:
    if not response.is_success:
        raise error(response)


def _json(response: httpx.Response) -> object:
    _check(response)
    try:
        return json.loads(response.content)
    except ValueError as fault:
        raise UnexpectedAnswer("the answer is no JSON") from fault
