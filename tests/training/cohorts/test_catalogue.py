"""A path is recognised as the cohort that lies there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pacx.errors import CohortError
from pacx_training.cohorts.catalogue import Terms, read_cohort, source_of
from pacx_training.cohorts.nih import FINDINGS


def _film(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(path)


def test_a_manifest_with_its_terms(tmp_path: Path) -> None:
    _film(tmp_path / "films" / "a.png")
    manifest = tmp_path / "open.csv"
    manifest.write_text("path,patient,split,weight\nfilms/a.png,p,val,2.5\n")
    cohort, terms = read_cohort(manifest)
    assert terms == Terms(name="open")
    assert (cohort.splits.tolist(), cohort.weights.tolist()) == (["val"], [2.5])
    terms_file = tmp_path / "open.json"
    terms_file.write_text('{"name": "Open films", "licence": "CC0", "citation": "Doe 2020"}')
    source = source_of(*read_cohort(manifest), "stage 1")
    assert (source.name, source.licence, source.citation) == ("Open films", "CC0", "Doe 2020")
    assert (source.use, source.films, source.patients) == ("stage 1", 1, 1)
    terms_file.write_text('{"title": "Open films"}')
    with pytest.raises(CohortError, match=r"open\.json"):
        read_cohort(manifest)


def test_a_folder_of_nih_films(tmp_path: Path) -> None:
    _film(tmp_path / "a.png")
    columns = ["image", "patient_id", "age", "sex", "view", "split", *FINDINGS]
    row = ["a.png", "1", "50", "F", "PA", "train", *["0"] * len(FINDINGS)]
    (tmp_path / "labels.csv").write_text(f"{','.join(columns)}\n{','.join(row)}\n")
    cohort, terms = read_cohort(tmp_path)
    assert cohort.name == "nih"
    assert "Wang" in terms.citation
    for column, wrong, words in ((1, "", "patient_id is empty"), (5, "trian", "splits are train")):
        other = [*row[:column], wrong, *row[column + 1 :]]
        lines = (",".join(line) for line in (columns, row, other))
        (tmp_path / "labels.csv").write_text("\n".join(lines))
        with pytest.raises(CohortError, match=rf"labels\.csv, row 3: {words}"):
            read_cohort(tmp_path)


def test_any_folder_of_films(tmp_path: Path) -> None:
    for name in ("x/a.png", "b.jpg"):
        _film(tmp_path / name)
    cohort, terms = read_cohort(tmp_path)
    assert [path.name for path in cohort.paths] == ["b.jpg", "a.png"]
    assert terms.licence == "not stated"


def test_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="no images"):
        read_cohort(tmp_path)
    with pytest.raises(CohortError, match=r"no manifest or folder absent\.csv"):
        read_cohort(tmp_path / "absent.csv")
