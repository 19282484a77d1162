"""Everything can be done without a mouse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from playwright.sync_api import expect

from tests.web.viewer import Viewer


def test_from_the_top_of_the_page_to_a_zoomed_film(viewer: Viewer, film: Path) -> None:
    keyboard = viewer.page.keyboard
    keyboard.press("Tab")
    expect(viewer.page.get_by_text("Skip to the report")).to_be_focused()
    keyboard.press("Tab")
    expect(viewer.at("help-open")).to_be_focused()
    keyboard.press("Tab")
    expect(viewer.at("evaluations-open")).to_be_focused()
    keyboard.press("Tab")
    expect(viewer.at("open-first")).to_be_focused()
    with viewer.page.expect_file_chooser() as chooser:
        keyboard.press("Enter")
    chooser.value.set_files(film)
    viewer.at("toolbar").wait_for()
    viewer.settle()
    expect(viewer.frame()).to_be_focused()
    assert "above" in viewer.announced()
    assert "hottest in the" in viewer.announced()

    keyboard.press("+")
    keyboard.press("+")
    assert "zoom 1.6" in viewer.state()
    before = viewer.film_box()
    keyboard.press("ArrowRight")
    assert viewer.film_box()["x"] == before["x"] - 24
    keyboard.press("Shift+ArrowRight")
    keyboard.press("Shift+ArrowUp")
    assert viewer.state().startswith("Width 263 · level 120")
    keyboard.press("0")
    assert viewer.state() == "Width 255 · level 128 · zoom 1.0"


def test_single_keys_act_and_can_be_switched_off(viewer: Viewer, film: Path) -> None:
    viewer.open(film)
    keyboard = viewer.page.keyboard
    shown = viewer.film_pixels()
    keyboard.press("h")
    assert np.abs(viewer.film_pixels() - shown).max() > 10
    keyboard.press("h")
    keyboard.press("[")
    keyboard.press("[")
    expect(viewer.at("opacity-value")).to_have_text("40 %")
    keyboard.press("m")
    viewer.settle()
    expect(viewer.at("method")).to_have_value("last_layer")

    keyboard.press("?")
    expect(viewer.page.get_by_role("dialog", name="Keyboard and mouse")).to_be_visible()
    viewer.page.get_by_label("Use these single keys").uncheck()
    keyboard.press("Escape")
    keyboard.press("m")
    viewer.settle()
    expect(viewer.at("method")).to_have_value("last_layer")


def test_every_single_key_of_the_help_is_real(viewer: Viewer) -> None:
    viewer.at("help-open").click()
    listed = viewer.page.locator("#help section:last-of-type kbd").all_inner_texts()
    known = viewer.page.evaluate(
        "async () => Object.keys((await import('/static/shortcuts.js')).KEYS)"
    )
    assert sorted(key.lower() for key in listed) == sorted(known)
