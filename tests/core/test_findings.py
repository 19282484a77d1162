"""From logits to probabilities and decisions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from pacx.errors import UnknownTarget
from pacx.findings import read_findings, target_index
from pacx.manifest import (
    EncoderSpec,
    FileEntry,
    FindingSpec,
    HeadSpec,
    Manifest,
    Provenance,
    ReferenceSpec,
)
from pacx.preprocessing import PreprocessingSpec

logits = arrays(np.float32, (4,), elements=st.floats(-1e4, 1e4, width=32))


def _finding(label: str, temperature: float = 1.0) -> FindingSpec:
    return FindingSpec(
        label=label,
        group="radiology",
        threshold=0.4,
        temperature=temperature,
        calibrated=temperature != 1.0,
        simulated=False,
        training_positives=20,
    )


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    """Two independent labels, then two that exclude each other."""
    return Manifest(
        name="four",
        version="1",
        created="2026-01-01",
        licence="CC0-1.0",
        intended_use="tests",
        simulated_physiology=False,
        provenance=Provenance(initialisation="none", sources=(), steps=()),
        encoder=EncoderSpec(
            architecture="none",
            embedding_dimension=1,
            depth=1,
            heads=1,
            patch_size=16,
            grid=(14, 14),
        ),
        input=PreprocessingSpec(),
        graphs={},
        heads=(
            HeadSpec(name="labels", findings=(_finding("Edema", 2.0), _finding("Effusion"))),
            HeadSpec(name="view", task="multiclass", findings=(_finding("AP"), _finding("PA"))),
        ),
        reference=ReferenceSpec(file="reference.safetensors"),
        files={"reference.safetensors": FileEntry(sha256="0" * 64, bytes=0)},
    )


@given(row=logits)
def test_probabilities_follow_their_definition(
    manifest: Manifest, row: NDArray[np.float32]
) -> None:
    edema, effusion, ap, pa = read_findings(row, manifest)
    with np.errstate(over="ignore"):
        assert edema.probability == pytest.approx(1 / (1 + np.exp(-np.float64(row[0]) / 2)))
        assert effusion.probability == pytest.approx(1 / (1 + np.exp(-np.float64(row[1]))))
        assert ap.probability == pytest.approx(1 / (1 + np.exp(np.float64(row[3]) - row[2])))
    assert ap.probability + pa.probability == pytest.approx(1)


@given(row=logits)
def test_a_finding_is_positive_from_its_threshold_on(
    manifest: Manifest, row: NDArray[np.float32]
) -> None:
    for finding in read_findings(row, manifest):
        assert 0 <= finding.probability <= 1
        assert finding.positive == (finding.probability >= 0.4)


def test_targets_are_found_by_label(manifest: Manifest) -> None:
    assert [target_index(manifest, label) for label in ("Edema", "PA")] == [0, 3]
    with pytest.raises(UnknownTarget, match="Edema, Effusion, AP, PA"):
        target_index(manifest, "edema ")
