"""Pictures of explanations by the bundled model: outlines, crop, the form without the film."""

from __future__ import annotations

import base64
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import numpy as np
import pytest
import typer
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from pacx.bundle import open_bundle, resolve, write_manifest
from pacx.errors import MalformedRequest
from pacx.manifest import FindingSpec
from pacx.model import load
from pacx.preprocessing import Geometry
from pacx.reading import read
from pacx.results import Explanation
from pacx_server.explain_command import explain
from pacx_server.outlines import COLOURS, OUTLINES
from pacx_server.overlay import DEFAULT, Subject, explain_radiograph
from pacx_server.vector import draw_svg
from tests.phantom_dicom import WHITE, chest_pixels, dicom_bytes

PNG = {"accept": "image/png"}
SVG = {"accept": "image/svg+xml"}
ROWS, COLUMNS = 500, 420
NAMESPACE = "{http://www.w3.org/2000/svg}"
BARE = "legend=false&opacity=0"


@pytest.fixture(scope="module")
def bundled(server_url: str) -> Iterator[httpx.Client]:
    """A client of the server with the bundled model."""
    with httpx.Client(base_url=server_url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def named() -> bytes:
    """A phantom with something bright burnt into its upper left corner."""
    pixels = chest_pixels(ROWS, COLUMNS)
    pixels[:18, :120:3] = WHITE
    return dicom_bytes(pixels, BurnedInAnnotation="YES")


def ask(client: httpx.Client, query: str, file: bytes, accept: dict[str, str]) -> httpx.Response:
    return client.post(f"/explanations?{query}", files={"file": file}, headers=accept)


def picture(answer: httpx.Response) -> NDArray[np.uint8]:
    assert answer.headers["content-type"] == "image/png", answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))


def drawn(pixels: NDArray[np.uint8]) -> set[str]:
    """Names of the outlines whose colour is somewhere in a picture."""
    return {name for name in OUTLINES if (pixels == COLOURS[name]).all(axis=2).any()}


def test_outlines_are_drawn_with_a_map_and_can_be_chosen(
    bundled: httpx.Client, phantom_dicom: bytes
) -> None:
    wanted = {
        "legend=false": {"heart", "lungs", "ratio"},
        "legend=false&outlines=heart,ratio": {"heart", "ratio"},
        "legend=false&outlines=": set(),
        BARE: set(),
        f"{BARE}&outlines=lungs": {"lungs"},
    }
    for query, names in wanted.items():
        assert drawn(picture(ask(bundled, query, phantom_dicom, PNG))) == names, query


def test_a_target_that_was_simulated_says_so() -> None:
    explanation = Explanation(
        method="relevance",
        target="High NT-proBNP",
        versus="Edema",
        grid=np.zeros((2, 2), np.float32),
        signed=True,
        geometry=Geometry(rows=8, columns=8, size=8),
    )
    subject = Subject(
        model="a model",
        explanation=explanation,
        anatomy=None,
        warnings=(),
        simulated={"High NT-proBNP"},
    )
    marked = "High NT-proBNP (simulated) · against Edema"
    assert subject.title == f"a model · relevance · {marked}"
    assert marked in draw_svg(subject, DEFAULT).decode()


def test_unknown_outlines_are_refused(bundled: httpx.Client, phantom_dicom: bytes) -> None:
    answer = ask(bundled, "outlines=heart,spleen", phantom_dicom, PNG)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")


def test_the_outlines_are_those_of_the_numbers(bundled: httpx.Client, phantom_dicom: bytes) -> None:
    anatomy = ask(bundled, "", phantom_dicom, {}).json()["anatomy"]
    predicted = bundled.post("/predict", files={"file": phantom_dicom}).json()["anatomy"]
    assert anatomy == predicted
    pixels = picture(ask(bundled, f"{BARE}&outlines=heart", phantom_dicom, PNG))
    strokes = np.argwhere((pixels == COLOURS["heart"]).all(axis=2))
    for column, row in anatomy["contours"]["heart"][0]:
        assert np.abs(strokes + 0.5 - (row, column)).max(axis=1).min() <= 2.5


def test_where_a_name_may_be_burnt_in_the_thorax_alone_is_shown(
    bundled: httpx.Client, named: bytes
) -> None:
    shown = ask(bundled, BARE, named, PNG)
    assert "burned_in_annotation" in shown.headers["x-warnings"].split(", ")
    codes = [note["code"] for note in ask(bundled, "", named, {}).json()["warnings"]]
    assert shown.headers["x-warnings"].split(", ") == codes
    whole, part = picture(ask(bundled, f"{BARE}&crop=none", named, PNG)), picture(shown)
    assert whole.shape == (ROWS, COLUMNS, 3)
    assert (whole[:18] == 255).any()
    assert part.shape[0] < ROWS
    assert part.shape[1] < COLUMNS
    assert not (part == 255).any()
    assert np.array_equal(part, picture(ask(bundled, f"{BARE}&crop=thorax", named, PNG)))


@pytest.mark.parametrize("method", ["rollout", "last_layer"])
@pytest.mark.parametrize("padding", [0, 60])
def test_a_map_that_is_hottest_outside_the_chest_is_warned_of(
    bundled: httpx.Client, method: str, padding: int
) -> None:
    file = dicom_bytes(np.pad(chest_pixels(marked=(10, 10, 30)), padding))
    answer = ask(bundled, f"method={method}", file, {}).json()
    warned = "map_outside_chest" in [note["code"] for note in answer["warnings"]]
    # Where the hottest cell only grazes the outline, either is right.
    assert warned in {not touches_chest(answer, margin) for margin in (-4, 4)}
    shown = ask(bundled, f"method={method}", file, PNG)
    assert ("map_outside_chest" in shown.headers["x-warnings"]) == warned
    if method == "rollout":
        query = {"include": "attention"}
        predicted = bundled.post("/predict", params=query, files={"file": file}).json()
        assert bool(predicted["attention"]["warnings"]) == warned


def touches_chest(answer: dict[str, Any], margin: int) -> bool:
    """Whether the hottest cell touches heart, lungs or what lies between, if it were larger."""
    size = (answer["image"]["columns"], answer["image"]["rows"])
    chest = Image.new("L", size)
    for polygons in answer["anatomy"]["contours"].values():
        for points in polygons:
            ImageDraw.Draw(chest).polygon([tuple(point) for point in points], fill=1)
    inside = np.asarray(chest) > 0
    right = np.logical_or.accumulate(inside, axis=1)
    filled = right & np.logical_or.accumulate(inside[:, ::-1], axis=1)[:, ::-1]
    grid = np.array(answer["grid"])
    row, column = np.unravel_index(int(grid.argmax()), grid.shape)
    high, wide = size[1] / len(grid), size[0] / len(grid)
    spans = [
        slice(max(0, round(place * side) - margin), round((place + 1) * side) + margin)
        for place, side in ((row, high), (column, wide))
    ]
    return bool(filled[spans[0], spans[1]].any())


def test_a_crop_holds_heart_and_lungs(bundled: httpx.Client, phantom_dicom: bytes) -> None:
    query = "legend=false&opacity=0&outlines=heart,lungs,ratio"
    whole = picture(ask(bundled, query, phantom_dicom, PNG))
    part = picture(ask(bundled, f"{query}&crop=thorax", phantom_dicom, PNG))
    assert part.shape[0] < ROWS
    for name in OUTLINES:
        strokes = [(pixels == COLOURS[name]).all(axis=2).sum() for pixels in (whole, part)]
        assert strokes[0] == strokes[1] > 0, name


def test_without_a_known_thorax_nothing_with_a_name_is_shown(
    http: httpx.Client, named: bytes
) -> None:
    """The tiny model has no decoder of heart and lungs."""
    refused = ask(http, "", named, PNG)
    assert (refused.status_code, refused.json()["code"]) == (422, "unusable_image")
    assert "crop=none" in refused.json()["detail"]
    assert ask(http, "crop=none", named, PNG).status_code == 200
    assert ask(http, "", named, SVG).status_code == 200, "no pixel of the film is in an SVG"


def test_an_svg_holds_map_and_outlines_in_film_pixels_and_no_film(
    bundled: httpx.Client, phantom_dicom: bytes
) -> None:
    answer = ask(bundled, "method=relevance&target=Effusion&opacity=0.7", phantom_dicom, SVG)
    assert answer.headers["content-type"] == "image/svg+xml"
    root = ElementTree.fromstring(answer.text)
    assert root.get("viewBox") == f"0 0 {COLUMNS} {ROWS}"
    text = "".join(root.itertext())
    for part in ("relevance", "Effusion", "Not for clinical use"):
        assert part in text
    numbers = ask(bundled, "method=relevance&target=Effusion", phantom_dicom, {}).json()
    image = root.find(f"{NAMESPACE}image")
    assert image is not None
    data = base64.b64decode(image.attrib["href"].removeprefix("data:image/png;base64,"))
    heat = np.asarray(Image.open(io.BytesIO(data)))
    assert heat.shape[2] == 4
    grid = np.array(numbers["grid"])
    levels = (grid - grid.min()) / np.ptp(grid) * 255
    cell = heat.shape[0] // len(grid)
    middles = heat[cell // 2 :: cell, cell // 2 :: cell, 3]
    assert np.abs(middles - levels).max() < 255 / cell + 2
    heart = next(p for p in root.iter(f"{NAMESPACE}path") if p.get("class") == "heart")
    found = [float(number) for number in re.findall(r"[\d.]+", heart.attrib["d"])]
    np.testing.assert_allclose(
        np.reshape(found, (-1, 2)), numbers["anatomy"]["contours"]["heart"][0], atol=0.1
    )


def test_the_command_draws_what_the_server_draws(
    bundled: httpx.Client, phantom_dicom: bytes, tmp_path: Path
) -> None:
    file, output = tmp_path / "film.dcm", tmp_path / "overlay.png"
    file.write_bytes(phantom_dicom)
    app = typer.Typer()
    app.command()(explain)
    options = ["--method", "relevance", "--target", "Effusion", "--outlines", "heart"]
    result = CliRunner().invoke(app, [str(file), "-o", str(output), *options])
    assert result.exit_code == 0, result.output
    query = "method=relevance&target=Effusion&outlines=heart"
    served = picture(ask(bundled, query, phantom_dicom, PNG))
    written = np.asarray(Image.open(output))
    assert written.shape == served.shape
    assert np.abs(written.astype(int) - served).mean() < 1
    refused = CliRunner().invoke(app, [str(file), "-o", str(output), "--outlines", "spleen"])
    assert refused.exit_code != 0


def test_the_command_writes_bare_numbers_on_either_grid(
    phantom_dicom: bytes, tmp_path: Path
) -> None:
    file, output = tmp_path / "film.dcm", tmp_path / "map.npy"
    file.write_bytes(phantom_dicom)
    app = typer.Typer()
    app.command()(explain)

    def written(*options: str) -> NDArray[np.float32]:
        result = CliRunner().invoke(app, [str(file), "-o", str(output), *options])
        assert result.exit_code == 0, result.output
        numbers: NDArray[np.float32] = np.load(output, allow_pickle=False)
        return numbers

    coarse, fine = written(), written("--grid", "film")
    film = read(phantom_dicom)
    assert fine.shape == (film.rows, film.columns)
    assert fine.dtype == np.float32
    explanation = load().explain(film)
    np.testing.assert_allclose(coarse, explanation.grid, rtol=1e-3)
    np.testing.assert_allclose(fine, explanation.on_film(), rtol=1e-3)
    refused = CliRunner().invoke(app, [str(file), "-o", f"{output}.png", "--grid", "film"])
    assert isinstance(refused.exception, MalformedRequest)
    assert "--grid film is for .npy" in str(refused.exception)


def test_the_command_too_says_what_was_simulated(phantom_dicom: bytes, tmp_path: Path) -> None:
    shipped = open_bundle(resolve())
    copy = Path(shutil.copytree(shipped.directory, tmp_path / "simulated"))
    manifest = shipped.manifest
    heads = tuple(
        head.model_copy(update={"findings": tuple(map(_simulated, head.findings))})
        for head in manifest.heads
    )
    write_manifest(copy, manifest.model_copy(update={"heads": heads, "simulated_physiology": True}))
    drawn = explain_radiograph(
        load(copy), read(phantom_dicom), method="relevance", target="Effusion", versus="Edema"
    )
    title = Image.open(io.BytesIO(drawn)).info["Title"]
    assert title.endswith("Effusion (simulated) · against Edema (simulated)")


def _simulated(finding: FindingSpec) -> FindingSpec:
    return finding.model_copy(update={"simulated": True})
