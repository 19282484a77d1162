"""A running server, asked through the Python client."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from pacx.errors import EvaluationError, ExtraMissing, SubjectError
from pacx_evaluation.subjects.encoder import Embeddings, Film, Identity, unusable

if TYPE_CHECKING:
    from pacx_client import ModelIdentity, PacxClient

API_KEY_VARIABLE = "PACX_API_KEY"
PATIENCE_S = 600.0
RETRIES = 20
"""An evaluation has time: a server that is busy with others is asked again for some minutes."""
_WHITE = 65535


class ServerEncoder:
    """The first model that a server offers; films are read and prepared by the server."""

    def __init__(self, address: str, identity: Identity) -> None:
        self._address = address
        self._identity = identity

    @property
    def identity(self) -> Identity:
        """Which model answers."""
        return self._identity

    def embed(self, films: Sequence[Film]) -> Embeddings:
        """Send the films; see :class:`pacx_evaluation.subjects.encoder.Encoder`."""
        from pacx_client import InvalidInput

        with (
            _client(self._address, timeout_s=PATIENCE_S, retries=RETRIES) as client,
            _in_our_words(),
        ):
            try:
                answer = client.embed([_upload(film) for film in films])
            except InvalidInput as error:  # of a request with one film, or of one as a whole
                if len(films) == 1:
                    raise unusable(films[0], error.code) from error
                return np.concatenate([self.embed([film]) for film in films])
        for failed in answer.failed:
            code = failed.error.code if failed.error else None
            raise unusable(films[failed.index], code or "refused by the server")
        if answer.model.sha256 != self._identity.sha256:
            raise EvaluationError("The server changed its model during the evaluation.")
        return np.asarray(answer, dtype=np.float32)


def from_server(address: str, name: str) -> ServerEncoder:
    """Ask a server which model it offers; a key is taken from ``PACX_API_KEY``.

    Raises:
        SubjectError: No answer, or no permission.
        ExtraMissing: The client is not installed.
    """
    client = _client(address)
    from pacx_client import PacxClientError

    try:
        with client:
            model = client.embed(_probe()).model
    except PacxClientError as error:
        raise SubjectError("The server does not answer with an embedding.") from error
    return ServerEncoder(address, _identity(model, name))


def _client(address: str, *, timeout_s: float = 60.0, retries: int = 3) -> PacxClient:
    try:
        from pacx_client import PacxClient
    except ImportError as error:
        raise ExtraMissing("The client is not installed: pip install pacx-client.") from error
    key = os.environ.get(API_KEY_VARIABLE)
    return PacxClient(address, api_key=key, timeout_s=timeout_s, retries=retries)


@contextmanager
def _in_our_words() -> Iterator[None]:
    """Turn what a client raises into an error of ours."""
    from pacx_client import PacxApiError, PacxClientError

    try:
        yield
    except PacxApiError as error:
        raise EvaluationError(f"The server refused the films: {error.code}.") from error
    except PacxClientError as error:
        raise EvaluationError("The server does not answer any more.") from error


def _identity(model: ModelIdentity, name: str) -> Identity:
    return Identity(
        name=name,
        kind="server",
        sha256=model.sha256,
        preprocessing_sha256=model.sha256,
        engine=f"server {model.engine} {model.precision}",
        description=f"{model.name} {model.version}, asked over HTTP.",
        simulated_physiology=model.simulated_physiology,
    )


def _upload(film: Film) -> Path | bytes:
    """A film as the server reads it; pictures in memory go as 16-bit PNG."""
    return film if isinstance(film, Path) else png_bytes(film.pixels * _WHITE)


def png_bytes(grey: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> bytes:
    """Grey levels ``[rows, columns]`` in [0, 65535] as a 16-bit PNG."""
    buffer = io.BytesIO()
    Image.fromarray(np.rint(grey).astype(np.uint16)).save(buffer, format="png")
    return buffer.getvalue()


def _probe() -> bytes:
    """A picture that only serves to learn which model answers."""
    return png_bytes(np.tile(np.linspace(0, _WHITE, 64, dtype=np.float32), (64, 1)))
