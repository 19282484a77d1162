"""``pacx export prove``: a bundle offers what another machine than its maker's can prove of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pacx.bundle import Bundle, open_bundle, write_manifest
from pacx.errors import BundleError
from pacx.manifest import RefusedVariant
from pacx.model_card import missing_statements
from pacx_export.commands import app
from pacx_export.proving import prove
from pacx_export.verification import UNPROVED
from pacx_export.verification_report import FILE, GraphParity, Verification

ELSEWHERE = GraphParity(
    graph="predict", engine="tensorrt", precision="f16", outputs=(),
    decisions=0, flipped_decisions=0, passed=True,
)  # fmt: skip


def unproved(engine: str, precision: str) -> RefusedVariant:
    entry = {"graph": "predict", "engine": engine, "precision": precision, "reason": UNPROVED}
    return RefusedVariant.model_validate(entry)


LACKED = (unproved("openvino", "f32"), unproved("openvino", "f16"))
"""What the maker's machine could not run: the first can be run here, the second nowhere."""


@pytest.fixture
def poorly_proved(tiny_copy: Path) -> Bundle:
    report = Verification.model_validate_json((tiny_copy / FILE).read_bytes())
    kept = [r for r in report.results if r.variant != ("predict", "openvino", "f32")]
    poor = report.model_copy(update={"results": (*kept, ELSEWHERE), "unproved": LACKED})
    manifest = open_bundle(tiny_copy).manifest.model_copy(update={"refused": poor.refused})
    (tiny_copy / FILE).write_text(poor.model_dump_json())
    return write_manifest(tiny_copy, manifest)


def test_what_can_be_run_here_is_offered_and_what_was_proved_elsewhere_stays(
    poorly_proved: Bundle, tmp_path: Path
) -> None:
    output = tmp_path / "again"
    command = ["prove", str(poorly_proved.directory), "-o", str(output), "--version", "7.0.1"]
    assert CliRunner().invoke(app, command).exit_code == 0
    made = open_bundle(output)
    told = {(e.graph, e.engine, e.precision): e.reason for e in made.manifest.refused}
    assert ("predict", "openvino", "f32") not in told
    assert told["predict", "openvino", "f16"] == UNPROVED
    report = Verification.model_validate_json(made.path(FILE).read_bytes())
    passed = {result.variant for result in report.results if result.passed}
    assert {("predict", "openvino", "f32"), ELSEWHERE.variant} <= passed
    assert made.manifest.version == "7.0.1"
    assert made.manifest.provenance.steps[-1] == "pacx export prove"
    card = made.path("README.md").read_text()
    assert "`predict` on openvino f32: 0 of" in card
    assert "`predict` on openvino f32: **not offered**" not in card
    assert not missing_statements(made)


def test_nothing_else_changes(poorly_proved: Bundle, tmp_path: Path) -> None:
    made = prove(poorly_proved, tmp_path / "again", version="7.0.1")
    before, after = poorly_proved.manifest.files, made.manifest.files
    assert {name for name in before if before[name] != after[name]} == {"README.md", FILE}


def test_a_new_version_needs_another_name(poorly_proved: Bundle, tmp_path: Path) -> None:
    version = poorly_proved.manifest.version
    with pytest.raises(BundleError, match=r"this bundle's own"):
        prove(poorly_proved, tmp_path / "again", version=version)
    assert not (tmp_path / "again").exists()
