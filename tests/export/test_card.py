"""The model card tells read-outs, with what they are wrong by, apart from findings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pacx.manifest import FindingSpec, HeadSpec, Interval, Manifest
from pacx_export.card import model_card
from tests.server.tiny_bundle import LABELS, make_bundle, value_head, with_second_head

FINDING, READ_OUT = LABELS
ERROR = Interval(value=5.25, low=4.75, high=5.75)


def as_finding(spec: FindingSpec) -> HeadSpec:
    area = Interval(value=0.99, low=0.98, high=1.0)
    changed = spec.model_copy(update={"group": "read_out", "validation_auroc": area})
    return HeadSpec(name="read-outs", findings=(changed,))


def as_value(spec: FindingSpec) -> HeadSpec:
    head = value_head(spec.label, "read_out")
    value = head.values[0].model_copy(update={"error": ERROR})
    return head.model_copy(update={"values": (value,)})


def sections(manifest: Manifest) -> dict[str, str]:
    """The text of a card by heading."""
    parts = model_card(manifest).split("\n## ")[1:]
    return dict(part.split("\n", 1) for part in parts)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (as_finding, "0.990 (0.980 to 1.000)"),
        (as_value, "| 5.250 (4.750 to 5.750) | years |"),
    ],
)
def test_a_read_out_stands_apart_with_its_error(
    tmp_path: Path, make: Callable[[FindingSpec], HeadSpec], told: str
) -> None:
    manifest = with_second_head(make_bundle(tmp_path / "tiny"), make).manifest
    card = sections(manifest)
    (row,) = [line for line in card["Read-outs"].splitlines() if line.startswith(f"| {READ_OUT} |")]
    assert told in row
    assert f"| {FINDING} |" in card["Findings"]
    assert READ_OUT not in card["Findings"]
    assert "Values" not in card


def test_other_values_are_no_read_outs(tmp_path: Path) -> None:
    bundle = with_second_head(
        make_bundle(tmp_path / "tiny"), lambda spec: value_head(spec.label, "physiology")
    )
    card = sections(bundle.manifest)
    assert f"| {READ_OUT} | physiology |" in card["Values"]
    assert "Read-outs" not in card
