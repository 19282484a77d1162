"""POST /explanations: the map sits on the right pixels of the original picture."""

from __future__ import annotations

import io

import httpx
import numpy as np
import pytest
from PIL import Image

from pacx_client import PacxClient
from tests.live_server import LiveServer
from tests.phantom_dicom import dicom_bytes
from tests.server.tiny_bundle import GRID

PNG = {"accept": "image/png"}
DARK, BRIGHT = 200, 4000


def marked(rows: int, columns: int, cell: tuple[int, int]) -> bytes:
    """A dark film with one bright rectangle that covers a cell of the model's grid."""
    pixels = np.full((rows, columns), DARK, dtype=np.uint16)
    top, bottom = (round(edge * rows / GRID) for edge in (cell[0], cell[0] + 1))
    left, right = (round(edge * columns / GRID) for edge in (cell[1], cell[1] + 1))
    pixels[top:bottom, left:right] = BRIGHT
    return dicom_bytes(pixels)


@pytest.mark.parametrize(
    ("rows", "columns", "cell"),
    [
        (501, 333, (2, 11)),
        (333, 501, (11, 2)),
        (224, 224, (0, 0)),
        (1955, 1841, (13, 13)),
        (97, 1203, (7, 7)),
    ],
)
def test_the_mark_is_hot_to_half_a_patch(
    http: httpx.Client, rows: int, columns: int, cell: tuple[int, int]
) -> None:
    file = marked(rows, columns, cell)
    query = "/explanations?legend=false"
    film = picture(http.post(f"{query}&opacity=0", files={"file": file}, headers=PNG))
    overlay = picture(http.post(f"{query}&opacity=1", files={"file": file}, headers=PNG))
    assert film.shape == (rows, columns)
    assert overlay.shape == (rows, columns, 3)
    heat = np.abs(overlay.astype(int) - film[..., np.newaxis]).sum(axis=2)
    centre = np.argwhere(heat > heat.max() * 0.9).mean(axis=0) + 0.5
    patch = np.array([rows, columns]) / GRID
    wanted = (np.array(cell) + 0.5) * patch
    assert (np.abs(centre - wanted) <= patch / 2).all()


def picture(answer: httpx.Response) -> np.ndarray:
    assert answer.headers["content-type"] == "image/png", answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_the_film_itself_is_the_windowed_original(http: httpx.Client) -> None:
    file = marked(300, 200, (3, 3))
    film = picture(
        http.post("/explanations?legend=false&opacity=0", files={"file": file}, headers=PNG)
    )
    assert set(np.unique(film)) == {round(DARK / 4095 * 255), round(BRIGHT / 4095 * 255)}


def test_all_forms_of_one_map_agree(
    http: httpx.Client, tiny_server: LiveServer, phantom_dicom: bytes
) -> None:
    with PacxClient(tiny_server.url) as client:
        answer = client.explain_grid(phantom_dicom, method="last_layer")
        overlay = client.explain(phantom_dicom)
    assert answer.method == "last_layer"
    assert Image.open(io.BytesIO(overlay)).size == (420, 500)
    array = http.post(
        "/explanations?method=last_layer",
        files={"file": phantom_dicom},
        headers={"accept": "application/x-npy"},
    )
    loaded = np.load(io.BytesIO(array.content), allow_pickle=False)
    np.testing.assert_allclose(loaded, answer.grid, atol=1e-6)
