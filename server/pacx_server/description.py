"""From what a model computed to the parts of an answer."""

from __future__ import annotations

from collections.abc import Collection

from pacx.model import Model
from pacx_server.examination import Examination
from pacx_server.schemas import Attention, FindingAnswer, Include, InstancePrediction


def describe_examination(
    model: Model, examination: Examination, include: Collection[Include]
) -> InstancePrediction:
    """Say what one examination found, and what else is wanted."""
    decoded = examination.decoded
    prediction = model.interpret(examination.outputs, decoded.input.geometry)
    attention = Attention(method="rollout", grid=prediction.rollout.tolist())
    return InstancePrediction(
        image=decoded.facts,
        findings=[
            FindingAnswer.model_validate(finding, from_attributes=True)
            for finding in prediction.findings
        ],
        embedding=prediction.embedding.tolist() if "embedding" in include else None,
        attention=attention if "attention" in include else None,
        warnings=list(decoded.warnings),
    )
