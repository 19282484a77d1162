"""Pictures as a server with the bundled model draws them for the client."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pacx.preprocessing import Geometry, upsample
from pacx_client import InvalidInput, NotFound, Outline
from pacx_server.outlines import COLOURS
from tests.clients.conftest import Asker
from tests.phantom_dicom import chest_pixels, dicom_bytes

ROWS, COLUMNS = 500, 420
NAMESPACE = "{http://www.w3.org/2000/svg}"


def pixels_of(picture: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))


def drawn(picture: bytes) -> set[str]:
    """Names of the outlines whose colour is somewhere in a picture."""
    pixels = pixels_of(picture)
    return {name for name, colour in COLOURS.items() if (pixels == colour).all(axis=2).any()}


@pytest.mark.parametrize(
    ("opacity", "chosen", "expected"),
    [
        (1, None, {"heart", "lungs", "ratio"}),
        (0, None, set()),
        (0.5, (), set()),
        (0, ("lungs", "ratio"), {"lungs", "ratio"}),
    ],
)
def test_outlines_are_chosen(
    server_url: str,
    ask: Asker,
    phantom_dicom: bytes,
    opacity: float,
    chosen: tuple[Outline, ...] | None,
    expected: set[str],
) -> None:
    picture = ask(
        server_url,
        lambda client: client.explain(
            phantom_dicom, opacity=opacity, legend=False, outlines=chosen
        ),
    )
    assert drawn(picture) == expected


def test_opacity_and_legend_are_chosen(server_url: str, ask: Asker, phantom_dicom: bytes) -> None:
    def styled(opacity: float, *, legend: bool = False) -> NDArray[np.int_]:
        picture = ask(
            server_url,
            lambda client: client.explain(
                phantom_dicom, opacity=opacity, legend=legend, outlines=()
            ),
        )
        return pixels_of(picture).astype(int)

    film, faint, strong, described = styled(0), styled(0.3), styled(1), styled(0, legend=True)
    assert film.shape == (ROWS, COLUMNS, 3)
    assert 0 < np.abs(faint - film).sum() < np.abs(strong - film).sum()
    assert (described != film).any()
    assert (described[: ROWS // 2] == film[: ROWS // 2]).all()


def test_the_thorax_alone_is_shown_where_that_is_wanted_or_a_name_may_be_burnt_in(
    server_url: str, ask: Asker, phantom_dicom: bytes
) -> None:
    named = dicom_bytes(chest_pixels(ROWS, COLUMNS), BurnedInAnnotation="YES")
    part, guarded, whole = (
        pixels_of(ask(server_url, question))
        for question in (
            lambda client: client.explain(phantom_dicom, crop="thorax"),
            lambda client: client.explain(named),
            lambda client: client.explain(named, crop="none"),
        )
    )
    assert whole.shape == (ROWS, COLUMNS, 3)
    assert part.shape == guarded.shape
    assert part.shape[0] < ROWS
    assert part.shape[1] < COLUMNS


def test_a_thorax_that_is_not_there_is_refused(server_url: str, ask: Asker) -> None:
    grey = dicom_bytes(np.tile(np.arange(COLUMNS, dtype=np.uint16), (ROWS, 1)))
    with pytest.raises(InvalidInput) as refusal:
        ask(server_url, lambda client: client.explain(grey, crop="thorax"))
    assert refusal.value.code == "unusable_image"


def test_shapes_lie_where_the_numbers_say(
    server_url: str, ask: Asker, phantom_dicom: bytes
) -> None:
    picture = ask(
        server_url,
        lambda client: client.explain(
            phantom_dicom, picture_format="svg", outlines=("heart", "ratio"), opacity=0
        ),
    )
    anatomy = ask(server_url, lambda client: client.explain_grid(phantom_dicom)).anatomy
    assert anatomy is not None
    assert anatomy.contours is not None
    assert anatomy.lines is not None
    root = ElementTree.fromstring(picture)
    assert root.attrib["viewBox"] == f"0 0 {COLUMNS} {ROWS}"
    assert root.find(f"{NAMESPACE}image") is None
    paths = {(path.attrib["class"], path.attrib["d"]) for path in root.iter(f"{NAMESPACE}path")}
    corners = [
        "L".join(f"{column:g} {row:g}" for column, row in points)
        for points in (*anatomy.contours.heart, anatomy.lines.heart, anatomy.lines.chest)
    ]
    heart, *lines = corners
    assert paths == {("heart", f"M{heart}Z"), *(("ratio", f"M{line}") for line in lines)}


def test_every_pixel_has_a_number(server_url: str, ask: Asker, phantom_dicom: bytes) -> None:
    numbers = ask(
        server_url,
        lambda client: client.explain_pixels(phantom_dicom, method="relevance", target="Effusion"),
    )
    answer = ask(
        server_url,
        lambda client: client.explain_grid(phantom_dicom, method="relevance", target="Effusion"),
    )
    grid = np.array(answer.grid, np.float32)
    np.testing.assert_allclose(numbers, upsample(grid, Geometry(ROWS, COLUMNS, 224)), rtol=1e-3)


def test_findings_are_compared_by_a_method_of_a_named_model(
    server_url: str, ask: Asker, phantom_dicom: bytes
) -> None:
    (model,) = ask(server_url, lambda client: client.models())
    assert model.methods[0] == "rollout"
    assert "region_ablation" in model.methods
    first, second, *_ = ask(
        server_url, lambda client: client.predict(phantom_dicom, model=model.name)
    ).findings
    answer = ask(
        server_url,
        lambda client: client.explain_grid(
            phantom_dicom,
            method="region_ablation",
            target=first.label,
            versus=second.label,
            model=model.name,
        ),
    )
    assert (answer.target, answer.versus) == (first.label, second.label)
    assert answer.signed
    for question in (
        lambda client: client.explain(phantom_dicom, model="another"),
        lambda client: client.explain_grid(phantom_dicom, model="another"),
        lambda client: client.predict(phantom_dicom, model="another"),
        lambda client: client.embed(phantom_dicom, model="another"),
    ):
        with pytest.raises(NotFound):
            ask(server_url, question)
