"""What was proved is read back as it was written, whatever was found."""

from __future__ import annotations

import math

import pytest

from pacx_export.verification_report import GraphParity, OutputParity, Verification


@pytest.mark.parametrize("worst", [math.inf, math.nan])
def test_a_distance_that_is_no_number_is_kept_and_named(worst: float) -> None:
    """A gradient where torch has none is infinitely far; an engine may answer no numbers."""
    output = OutputParity(
        output="input_gradient", measure="scale", worst=worst, mean=worst, limit=0.02
    )
    result = GraphParity(
        graph="explain", engine="openvino", precision="bf16", outputs=(output,),
        decisions=0, flipped_decisions=0, passed=False,
    )  # fmt: skip
    report = Verification(processor="x86_64", pictures={"phantom": 1}, results=(result,))
    again = Verification.model_validate_json(report.model_dump_json())
    assert str(again.results[0].outputs[0].worst) == str(worst)
    assert again.refused[0].reason == f"input_gradient scale {worst}"
