"""Reading answers: tolerant of what is new, strict about what is wrong."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacx_client import Explanation, Finding, Prediction, UnexpectedAnswer
from pacx_client._decoding import decode
from tests.clients.examples import EXPLANATION, PREDICTION, Json

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
new_fields = st.dictionaries(st.text().map("new_{}".format), json_values, max_size=3)


def test_a_prediction_is_read_in_full() -> None:
    answer = decode(Prediction, PREDICTION)
    assert answer.model.precision == "bf16"
    assert (answer.image.rows, answer.image.spacing_mm) == (1955, None)
    assert [finding.label for finding in answer.findings] == ["Effusion", "Edema"]
    assert answer.finding("Edema") == Finding(
        label="Edema",
        probability=1.0,
        threshold=0.5,
        positive=True,
        group="physiology",
        calibrated=True,
        simulated=False,
    )
    assert answer.embedding == (0.5, -0.25)
    assert answer.attention is not None
    assert answer.attention.grid == ((0.0, 1.0), (0.5, 0.5))
    assert answer.warnings[0].code == "spacing_unknown"
    assert answer.timing_ms is not None
    assert answer.timing_ms.total == 25.0
    assert answer.reference == "mine"
    with pytest.raises(KeyError):
        answer.finding("Fracture")


@given(extra=new_fields, deeper=new_fields)
def test_fields_that_are_new_change_nothing(extra: Json, deeper: Json) -> None:
    answer: dict[str, Any] = copy.deepcopy(PREDICTION)
    answer.update(extra)
    for part in (answer["model"], answer["image"], answer["findings"][0], answer["timing_ms"]):
        part.update(deeper)
    assert decode(Prediction, answer) == decode(Prediction, PREDICTION)


@given(st.sets(st.sampled_from(sorted({"embedding", "attention", "anatomy", "quality"}))))
def test_optional_fields_may_be_missing(missing: set[str]) -> None:
    answer = {name: value for name, value in PREDICTION.items() if name not in missing}
    read = decode(Prediction, answer)
    assert all(getattr(read, name) is None for name in missing)


@pytest.mark.parametrize("name", ["request_id", "model", "image", "findings"])
def test_what_every_answer_has_may_not_be_missing(name: str) -> None:
    answer = {key: value for key, value in PREDICTION.items() if key != name}
    with pytest.raises(UnexpectedAnswer, match=f"answer has no field '{name}'"):
        decode(Prediction, answer)


@pytest.mark.parametrize(
    ("damage", "place"),
    [
        (lambda answer: answer["findings"][1].update(probability="0.5"), r"findings\[1\].prob"),
        (lambda answer: answer["findings"][1].update(probability=float("nan")), "not finite"),
        (lambda answer: answer["findings"][1].update(positive=1), "positive is no bool"),
        (lambda answer: answer["image"].update(rows=True), "rows is no int"),
        (lambda answer: answer["image"].update(spacing_mm=[1.0]), "1 elements, not 2"),
        (lambda answer: answer.update(embedding=[None]), r"embedding\[0\] is no float"),
        (lambda answer: answer.update(findings={}), "findings is no list"),
        (lambda answer: answer.update(model=[]), "model is no object"),
    ],
)
def test_a_wrong_type_is_named(damage: Callable[[dict[str, Any]], None], place: str) -> None:
    answer: dict[str, Any] = copy.deepcopy(PREDICTION)
    damage(answer)
    with pytest.raises(UnexpectedAnswer, match=place):
        decode(Prediction, answer)


@given(json_values, st.sampled_from(sorted(PREDICTION)))
def test_nothing_but_the_right_error_ever_comes_of_a_wrong_answer(value: object, at: str) -> None:
    try:
        answer = decode(Prediction, PREDICTION | {at: value})
    except UnexpectedAnswer:
        return
    assert isinstance(answer, Prediction)


def test_an_explanation_is_read_in_full() -> None:
    answer = decode(Explanation, EXPLANATION)
    assert (answer.method, answer.target, answer.signed) == ("rollout", None, False)
    assert answer.focus == {"heart": 0.2, "lungs": 0.7, "outside": None}


def test_results_are_frozen() -> None:
    answer = decode(Prediction, PREDICTION)
    with pytest.raises(AttributeError):
        answer.request_id = "other"  # type: ignore[misc]
