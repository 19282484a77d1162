"""Everything that turns films into embeddings has one face, and its embeddings are kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pacx.bundle import Bundle
from pacx.errors import CheckpointError, EvaluationError, SubjectError
from pacx.radiograph import Radiograph
from pacx_evaluation.subjects import EmbeddingCache, Film, Identity, open_subject
from pacx_evaluation.subjects.encoder import Embeddings, file_sha256
from tests.conftest import Serving
from tests.evaluation.conftest import DrawnFilms
from tests.onnx_pooling import write_pooling


class Counting:
    """An encoder that counts the films that it is given."""

    def __init__(self, path: Path) -> None:
        self._inner = open_subject(str(path))
        self.films = 0

    @property
    def identity(self) -> Identity:
        """Of the encoder inside."""
        return self._inner.identity

    def embed(self, films: Sequence[Film]) -> Embeddings:
        """Count and embed."""
        self.films += len(films)
        return self._inner.embed(films)


def _paths(films: DrawnFilms, count: int) -> list[Path]:
    return [films.folder / name for name in films.table["path"][:count]]


def test_a_run_a_checkpoint_and_a_picture_in_memory_give_the_same_embeddings(
    films: DrawnFilms, run_folder: Path
) -> None:
    paths = _paths(films, 3)
    run = open_subject(str(run_folder)).embed(paths)
    assert run.shape == (3, 32)
    assert run.dtype == np.float32
    pixels = np.asarray(Image.open(paths[0]))
    again = open_subject(f"again={run_folder}").embed([Radiograph.from_array(pixels)])
    np.testing.assert_allclose(again[0], run[0], atol=1e-5)


def test_the_order_and_the_company_of_films_do_not_matter(
    films: DrawnFilms, run_folder: Path
) -> None:
    encoder, paths = open_subject(str(run_folder)), _paths(films, 20)
    together = encoder.embed(paths)
    alone = np.concatenate([encoder.embed([path]) for path in reversed(paths)])
    np.testing.assert_allclose(alone[::-1], together, atol=1e-5)


def test_random_weights_are_repeated_by_their_seed() -> None:
    first, again, other = (
        open_subject("random:vit_tiny_patch16_224", seed=seed).identity for seed in (0, 0, 1)
    )
    assert first.key == again.key != other.key
    with pytest.raises(SubjectError, match="vit_"):
        open_subject("random:resnet50")


@pytest.fixture
def pooling_onnx(tmp_path: Path) -> Path:
    return write_pooling(tmp_path / "pooling.onnx")


def test_any_onnx_file_with_an_image_input_is_a_subject(
    films: DrawnFilms, pooling_onnx: Path
) -> None:
    white = Radiograph.from_array(np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1)))
    embeddings = open_subject(str(pooling_onnx)).embed([white, *_paths(films, 2)])
    assert embeddings.shape == (3, 3)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(embeddings[0], (0.5 - mean) / std, atol=0.02)


@pytest.mark.parametrize("text", ["nothing-here", "x=also/nothing", "file.onnx", ""])
def test_what_is_no_subject_is_refused(text: str) -> None:
    with pytest.raises(SubjectError, match="is no subject"):
        open_subject(text)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    (tmp_path / "broken.safetensors").write_bytes(b"no tensors")
    with pytest.raises(SubjectError):
        open_subject(str(tmp_path / "broken.onnx"))
    with pytest.raises(CheckpointError):
        open_subject(str(tmp_path / "broken.safetensors"))
    with pytest.raises(SubjectError, match="server"):
        open_subject("http://127.0.0.1:9")


def test_a_film_is_embedded_once_however_often_it_is_asked_for(
    films: DrawnFilms, run_folder: Path, cache: EmbeddingCache
) -> None:
    encoder, paths = Counting(run_folder), _paths(films, 5)
    digests = [file_sha256(path) for path in paths]
    first = cache.embed(encoder, paths, digests)
    again = cache.embed(encoder, [*paths[::-1], paths[0]], [*digests[::-1], digests[0]])
    assert encoder.films == 5
    np.testing.assert_array_equal(again, np.concatenate([first[::-1], first[:1]]))


def test_embeddings_of_another_subject_are_not_reused(
    films: DrawnFilms, run_folder: Path, cache: EmbeddingCache
) -> None:
    paths = _paths(films, 2)
    digests = [file_sha256(path) for path in paths]
    cache.embed(Counting(run_folder), paths, digests)
    other = open_subject("random:vit_tiny_patch16_32")
    assert cache.embed(other, paths, digests).shape == (2, 192)


def test_an_unreadable_film_is_named_by_its_hash_alone(
    films: DrawnFilms, run_folder: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "Doe_Jane.png"
    broken.write_bytes((films.folder / films.table["path"][0]).read_bytes()[:200])
    with pytest.raises(EvaluationError) as caught:
        open_subject(str(run_folder)).embed([broken])
    assert file_sha256(broken) in caught.value.detail
    assert "Doe" not in caught.value.detail


def test_a_server_gives_the_embeddings_of_the_bundle_that_it_serves(
    films: DrawnFilms, tiny_bundle: Bundle, serving: Serving
) -> None:
    paths = _paths(films, 3)
    in_memory = Radiograph.from_array(np.asarray(Image.open(paths[0])))
    local = open_subject(str(tiny_bundle.directory))
    with serving(PACX_BUNDLES=str(tiny_bundle.directory)) as address:
        remote = open_subject(f"server={address}")
        answered = remote.embed([*paths, in_memory])
        for some in ([*paths, films.manifest], [films.manifest]):  # one file has no list of errors
            with pytest.raises(EvaluationError, match="cannot be used: not_an_image") as caught:
                remote.embed(some)
            assert file_sha256(films.manifest) in caught.value.detail
    assert remote.identity.sha256 == local.identity.sha256
    expected = local.embed([*paths, in_memory])
    np.testing.assert_allclose(answered, expected, atol=0.05 * np.abs(expected).max())
    cosines = (answered * expected).sum(1) / np.linalg.norm(answered, axis=1)
    np.testing.assert_allclose(cosines / np.linalg.norm(expected, axis=1), 1, atol=1e-3)
