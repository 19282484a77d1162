"""``pacx.load()``: three lines from a file to findings, the same on every engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import pacx
from pacx.bundle import Bundle
from pacx.errors import (
    BundleError,
    EngineUnavailable,
    InputError,
    MalformedImage,
    MalformedRequest,
    UnknownMethod,
    UnknownTarget,
)
from pacx.radiograph import Radiograph
from tests.tiny_bundle import LABELS


@pytest.fixture(params=["auto", "onnxruntime", "openvino"])
def model(request: pytest.FixtureRequest, tiny_bundle: Bundle) -> Iterator[pacx.Model]:
    """The tiny bundle on every engine, in float32."""
    loaded = pacx.load(tiny_bundle.directory, engine=request.param, precision="f32")
    yield loaded
    loaded.close()


@pytest.fixture
def film(tmp_path: Path, phantom_dicom: bytes) -> Path:
    """A phantom DICOM on the disk."""
    path = tmp_path / "phantom.dcm"
    path.write_bytes(phantom_dicom)
    return path


def test_the_shipped_model_in_three_lines(film: Path) -> None:
    model = pacx.load()
    prediction = model.predict(str(film))
    assert [finding.label for finding in prediction.findings][:5] == [
        "Pneumonia",
        "Infiltration",
        "Atelectasis",
        "Edema",
        "Effusion",
    ]
    assert all(0 < finding.probability < 1 for finding in prediction.findings)
    assert prediction.embedding.shape == (384,)
    assert prediction.rollout.shape == (14, 14)


def test_a_path_bytes_and_pixels_are_the_same_film(
    model: pacx.Model, film: Path, phantom_dicom: bytes
) -> None:
    answers = [model.predict(x) for x in (film, phantom_dicom, pacx.read(film))]
    for answer in answers[1:]:
        assert answer.findings == answers[0].findings
        np.testing.assert_array_equal(answer.embedding, answers[0].embedding)


def test_an_array_is_a_film_and_anything_else_is_refused_by_name(
    model: pacx.Model, film: Path
) -> None:
    pixels = pacx.read(film).pixels
    answer = model.predict(pixels)
    assert answer.findings == model.predict(Radiograph.from_array(pixels)).findings
    assert len(model.predict([film, film])) == 2
    for nothing in (None, 7, bytearray(b"x"), iter([film]), {"film": film}):
        with pytest.raises(MalformedRequest, match="Give a path"):
            model.predict(nothing)  # type: ignore[arg-type]
    with pytest.raises(MalformedImage):
        model.predict(np.zeros(5))


def test_engines_agree(model: pacx.Model, tiny_bundle: Bundle, film: Path) -> None:
    reference = pacx.load(tiny_bundle.directory, engine="onnxruntime").predict(film)
    answer = model.predict(film)
    assert [f.label for f in answer.findings] == list(LABELS)
    for found, wanted in zip(answer.findings, reference.findings, strict=True):
        assert found.probability == pytest.approx(wanted.probability, abs=1e-5)
        assert found.positive == wanted.positive


def test_a_list_gives_a_list(model: pacx.Model, film: Path) -> None:
    dark = Radiograph.from_array(np.tri(64, 48, dtype=np.float32))
    answers = model.predict([pacx.read(film), dark])
    assert len(answers) == 2
    embeddings = model.embed([film, dark])
    assert embeddings.shape == (2, 32)
    np.testing.assert_allclose(embeddings[1], answers[1].embedding, atol=1e-6)
    assert model.embed([]).shape == (0, 32)


def test_relevance_of_a_finding_whatever_the_engine(tiny_bundle: Bundle, film: Path) -> None:
    """OpenVINO gets this graph wrong in float32, so ``auto`` runs it on ONNX Runtime."""
    maps = [
        pacx.load(tiny_bundle.directory, engine=engine, precision="f32")
        .explain(film, method="relevance", target="Effusion")
        .grid
        for engine in ("auto", "onnxruntime")
    ]
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-6)
    wrong = pacx.load(tiny_bundle.directory, engine="openvino", precision="f32")
    with pytest.raises(EngineUnavailable, match="explain is not offered"):
        wrong.explain(film, method="relevance", target="Effusion")


def test_unknown_names_are_refused(model: pacx.Model, film: Path) -> None:
    with pytest.raises(UnknownMethod):
        model.explain(film, method="guesswork")
    with pytest.raises(UnknownMethod):
        model.explain(film, method="rollout", target="Effusion")
    with pytest.raises(UnknownTarget):
        model.explain(film, method="relevance", target="Headache")
    with pytest.raises(UnknownTarget):
        model.explain(film, method="relevance")


def test_what_cannot_be_used_is_refused(model: pacx.Model, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        model.predict(b"no film at all")
    with pytest.raises(BundleError):
        pacx.load(tmp_path)
