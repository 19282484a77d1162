"""What may be added to a model card, and that nothing of it is lost."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pacx.bundle import Bundle
from pacx.model_card import CARD, carrying, sections, with_results, with_section, with_version

CARD_TEXT = (
    "---\nlicense: cc0-1.0\nversion: 0.1.0\n---\n\n# m 0.1.0\n\n## One\n\na\n\n## Two\n\nb\n"
)
words = st.text("abc \n-|", max_size=20).map(str.strip)


@given(words, st.sampled_from(["One", "Two", "Three", "On"]))
def test_one_section_changes_and_the_others_stay(text: str, heading: str) -> None:
    changed = with_section(CARD_TEXT, heading, text)
    assert sections(changed) == {**sections(CARD_TEXT), heading: text}
    assert changed.startswith(CARD_TEXT.partition("## One")[0])


def test_results_are_yaml_that_hubs_read_and_are_not_repeated() -> None:
    first, second = ({"dataset": {"name": f"films: {n}"}, "metrics": []} for n in "ab")
    card = CARD_TEXT
    for entry in (first, second, first):
        card = with_results(card, "m", entry)
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["license"] == "cc0-1.0"
    assert front["model-index"] == [{"name": "m", "results": [second, first]}]
    assert sections(card) == sections(CARD_TEXT)


@pytest.mark.parametrize("card", ["Plain.\n", "---\nlicense: x\n---\nBody.\n"])
def test_a_card_without_front_matter_gets_one(card: str) -> None:
    made = with_results(card, "m", {"metrics": []})
    assert yaml.safe_load(made.split("---\n")[1])["model-index"][0]["name"] == "m"
    assert made.endswith(card.split("---\n")[-1])


def test_what_others_added_is_carried_into_a_card_that_is_written_afresh() -> None:
    former = with_results(with_section(CARD_TEXT, "Measured on x", "m"), "m", {"metrics": [1]})
    fresh = CARD_TEXT.replace("\nb\n", "\nc\n")
    card = carrying(fresh, former)
    assert sections(card) == {"One": "a", "Two": "c", "Measured on x": "m"}
    assert "model-index" in card


def test_another_version_is_told_in_title_and_front_matter(tiny_bundle: Bundle) -> None:
    card = tiny_bundle.path(CARD).read_text()
    renamed = with_version(card, tiny_bundle.manifest, "1.0")
    assert yaml.safe_load(renamed.split("---\n")[1])["version"] == "1.0"
    assert "# tiny 1.0\n" in renamed
    assert "0.1.0" not in renamed
