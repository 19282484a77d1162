"""The benchmark of engines measures what a bundle holds, and recipes that it does not hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.engines import BASELINE, built, carried, measure, table
from pacx.bundle import Bundle
from pacx_export.int8 import RECIPES


def test_every_integer_variant_of_a_bundle_is_measured(integer_bundle: Bundle) -> None:
    found = [*carried(integer_bundle, threads=1)]
    offered = {case.name: case.offered for case in found}
    for engine in RECIPES:
        for batch in (1, 8):
            assert offered[f"predict {engine} int8 b{batch}"] in ("yes", "no")
    assert offered["explain openvino f32 b1"] == "no"
    assert offered[BASELINE] == "yes"
    lines = table(found, measure(found, repeats=1)).splitlines()
    assert len(lines) == len(found) + 2
    assert any(f"| {BASELINE} |" in line and "| 1.00 | yes |" in line for line in lines)


def test_recipes_are_measured_without_a_proof(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    films, copies = tmp_path / "films", tmp_path / "copies"
    films.mkdir()
    Image.fromarray(np.eye(40, dtype=np.uint8) * 255).save(films / "film.png")
    found = [*built(tiny_bundle, films, copies, threads=1)]
    names = [
        f"{graph} {engine} int8 {recipe.__name__} b{images}"
        for engine, recipes in RECIPES.items()
        for recipe in recipes
        for graph in ("encode", "predict")
        for images in (1, 8)
    ]
    assert [case.name for case in found] == names
    assert {case.offered for case in found} == {"not proved"}
