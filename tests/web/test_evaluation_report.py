"""An evaluation's report on a phone."""

from __future__ import annotations

from importlib.resources import files

from playwright.sync_api import Page


def test_a_long_name_of_a_finding_does_not_widen_the_page(page: Page) -> None:
    style = files("pacx_evaluation.report").joinpath("templates/report.css").read_text()
    page.set_viewport_size({"width": 375, "height": 800})
    page.set_content(
        f"<style>{style}</style><main><section><ul class='reasons'>"
        f"<li>{'L' * 150}</li></ul></section></main>"
    )
    assert page.evaluate("document.documentElement.scrollWidth") == 375
