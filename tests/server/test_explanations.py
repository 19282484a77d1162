"""POST /explanations: the map sits on the right pixels of the original picture."""

from __future__ import annotations

import io
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from pacx_client import PacxClient
from pacx_server.colours import sequential
from tests.live_server import LiveServer, running
from tests.phantom_dicom import dicom_bytes
from tests.server.tiny_bundle import GRID

PNG = {"accept": "image/png"}
NPY = {"accept": "application/x-npy"}
DARK, BRIGHT = 200, 4000


def marked(rows: int, columns: int, cell: tuple[int, int], **elements: object) -> bytes:
    """A dark film with one bright rectangle that covers a cell of the model's grid."""
    pixels = np.full((rows, columns), DARK, dtype=np.uint16)
    top, bottom = (round(edge * rows / GRID) for edge in (cell[0], cell[0] + 1))
    left, right = (round(edge * columns / GRID) for edge in (cell[1], cell[1] + 1))
    pixels[top:bottom, left:right] = BRIGHT
    return dicom_bytes(pixels, **elements)


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


ON_STYLE = "/explanations?method=last_layer&legend=false&outlines="
ON_FILM = "/explanations?grid=film&method=last_layer"


@pytest.mark.parametrize(
    ("rows", "columns", "cell", "elements"),
    [
        (501, 333, (2, 11), {}),
        (333, 501, (11, 2), {}),
        (224, 224, (0, 0), {}),
        (97, 1203, (7, 7), {}),
        (400, 300, (4, 9), {"PixelSpacing": None, "PixelAspectRatio": ["2", "1"]}),
    ],
)
def test_every_pixel_of_the_film_as_it_is_stored_has_its_number(
    http: httpx.Client,
    rows: int,
    columns: int,
    cell: tuple[int, int],
    elements: dict[str, object],
) -> None:
    file = marked(rows, columns, cell, **elements)
    answer = http.post("/explanations?grid=film", files={"file": file}, headers=NPY)
    assert answer.headers["content-type"] == "application/x-npy", answer.text
    numbers = np.load(io.BytesIO(answer.content), allow_pickle=False)
    assert (numbers.shape, numbers.dtype) == ((rows, columns), np.float32)
    assert answer.headers["x-model-name"] == "tiny"
    row, column = np.unravel_index(numbers.argmax(), numbers.shape)
    patch = np.array([rows, columns]) / GRID
    assert (np.array(cell) * patch - 0.5 <= (row, column)).all()
    assert ((row, column) <= (np.array(cell) + 1) * patch + 0.5).all()


def test_numbers_on_the_film_are_what_the_overlay_colours(
    http: httpx.Client, phantom_dicom: bytes
) -> None:
    files = {"file": phantom_dicom}
    answer = http.post(ON_FILM, files=files, headers=NPY)
    numbers = np.load(io.BytesIO(answer.content), allow_pickle=False)
    film = picture(http.post(f"{ON_STYLE}&opacity=0", files=files, headers=PNG))
    drawn = picture(http.post(f"{ON_STYLE}&opacity=1", files=files, headers=PNG))
    grid = http.post("/explanations?method=last_layer", files=files).json()["grid"]
    low, high = np.min(grid), np.max(grid)
    levels = (numbers - low) * (255 / (high - low)) + 0.5
    table = sequential().blend_table(1).view(np.uint8).reshape(256, 256, 4)
    expected = table[levels.astype(np.uint8), film, :3]
    differences = np.abs(expected.astype(int) - drawn)
    assert (differences > 0).mean() < 1e-3  # rounding at the edge of a level
    assert differences.max() < 8


def test_numbers_on_the_film_are_an_array_and_nothing_else(
    http: httpx.Client, phantom_dicom: bytes
) -> None:
    files = {"file": phantom_dicom}
    plain = http.post(ON_FILM, files=files)
    assert plain.headers["content-type"] == "application/x-npy"
    for kind in ("application/json", "image/png", "image/svg+xml"):
        refused = http.post(ON_FILM, files=files, headers={"accept": kind})
        assert (refused.status_code, refused.json()["code"]) == (406, "not_acceptable")
        assert refused.json()["detail"] == ("With grid=film this address offers application/x-npy.")
    wrong = http.post("/explanations?grid=original", files=files, headers=NPY)
    assert wrong.status_code == 422
    assert "grid" in wrong.json()["detail"]


def test_a_film_whose_numbers_do_not_fit_beside_the_others_is_told_to_come_back(
    tiny: Path, tmp_path: Path
) -> None:
    pixels = np.tile(np.arange(700, dtype=np.uint16), (700, 1))
    film = dicom_bytes(pixels)
    room = len(film) + 700 * 700
    environment = {"PACX_BUNDLES": str(tiny), "PACX_QUEUE_BYTES": str(room)}
    with running(tmp_path, environment) as server, httpx.Client(base_url=server.url) as client:
        small = client.post("/explanations", files={"file": film}, headers=NPY)
        large = client.post(ON_FILM, files={"file": film}, headers=NPY)
    assert small.status_code == 200
    assert (large.status_code, large.json()["code"]) == (503, "queue_full")
