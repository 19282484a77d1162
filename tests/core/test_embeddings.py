"""Embedding files keep rows, names and origin, and refuse to be mixed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pacx.embeddings import EmbeddingTable, Origin, concatenate, preprocessing_sha256, read, write
from pacx.errors import MalformedRequest
from pacx.preprocessing import PreprocessingSpec

ORIGIN = Origin("pacx-small", "1", "a" * 64, "b" * 64)


def _table(rows: int = 3, origin: Origin = ORIGIN) -> EmbeddingTable:
    values = np.random.default_rng(rows).normal(size=(rows, 5)).astype(np.float32)
    return EmbeddingTable(values, tuple(f"film {row}" for row in range(rows)), origin)


@pytest.mark.parametrize("name", ["films.npy", "films.parquet"])
def test_what_is_written_is_read_back(tmp_path: Path, name: str) -> None:
    table = _table()
    write(table, tmp_path / name)
    again = read(tmp_path / name)
    assert np.array_equal(again.embeddings, table.embeddings)
    assert again.embeddings.dtype == np.float32
    assert (again.sources, again.origin) == (table.sources, table.origin)


def test_tables_of_one_model_are_joined_in_order() -> None:
    joined = concatenate([_table(2), _table(3)])
    assert joined.embeddings.shape == (5, 5)
    assert joined.sources == ("film 0", "film 1", "film 0", "film 1", "film 2")


@pytest.mark.parametrize("field", ["name", "version", "sha256", "preprocessing_sha256"])
def test_tables_of_two_models_are_not_mixed(field: str) -> None:
    other = replace(ORIGIN, **{field: "other"})
    with pytest.raises(MalformedRequest, match="one and the same model"):
        concatenate([_table(), _table(origin=other)])


def test_an_array_without_its_origin_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "bare.npy", np.zeros((1, 5), dtype=np.float32))
    with pytest.raises(MalformedRequest, match=r"npy\.json"):
        read(tmp_path / "bare.npy")


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedRequest, match=r"\.npy or \.parquet"):
        write(_table(), tmp_path / "films.csv")


def test_every_preprocessing_choice_changes_its_hash() -> None:
    base = PreprocessingSpec()
    changed = [
        PreprocessingSpec(size=256),
        PreprocessingSpec(mean=(0.5, 0.456, 0.406)),
        PreprocessingSpec(std=(0.229, 0.224, 0.3)),
    ]
    assert len({preprocessing_sha256(spec) for spec in [base, *changed]}) == 4
