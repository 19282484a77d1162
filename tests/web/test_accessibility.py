"""Roles, names, contrast and sizes, computed in the browser without outside help."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, TypedDict

import pytest
from playwright.sync_api import Page

from tests.web.viewer import Viewer, job

LEAST_CONTRAST = 4.5
"""WCAG 2.2, success criterion 1.4.3, for text of normal size."""
STATES = ("queued", "running", "succeeded", "failed", "cancelled")
LEAST_TARGET_PX = 24
"""WCAG 2.2, success criterion 2.5.8."""

CONTRASTS = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const over = ([r, g, b, a = 1], behind) => [r, g, b].map((v, i) => v * a + behind[i] * (1 - a));
  const ground = (node) => {
    // A film may be white.
    if (!node || node.matches(".pane")) return [255, 255, 255];
    const colour = channels(getComputedStyle(node).backgroundColor);
    return (colour[3] ?? 1) === 1 ? colour : over(colour, ground(node.parentElement));
  };
  const light = (colour) => colour
    .map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    const text = walker.currentNode.data.trim();
    if (!text || !parent.checkVisibility() || parent.closest(".unseen, noscript")) continue;
    const behind = ground(parent);
    const ink = over(channels(getComputedStyle(parent).color), behind);
    const [low, high] = [light(ink), light(behind)].sort((a, b) => a - b);
    found.push({ text, contrast: (high + 0.05) / (low + 0.05) });
  }
  return found;
}"""

SMALL = """(least) => [...document.querySelectorAll("button, select, input, a")]
  .filter((node) => node.checkVisibility() && !node.matches(".unseen, .skip"))
  .map((node) => [node, (node.closest("label") ?? node).getBoundingClientRect()])
  .filter(([, box]) => box.width < least || box.height < least)
  .map(([node]) => node.outerHTML)"""


class Contrast(TypedDict):
    """Text and its contrast to what lies behind."""

    text: str
    contrast: float


@pytest.fixture(params=["empty", "film", "two films", "help", "problem", "evaluations"])
def scene(request: pytest.FixtureRequest, viewer: Viewer, film: Path, tmp_path: Path) -> Page:
    """The page in each of its states."""
    if request.param == "problem":
        empty = tmp_path / "empty"
        empty.touch()
        viewer.open(empty)
    elif request.param == "evaluations":
        show_evaluations(viewer.page)
    elif request.param != "empty":
        viewer.open(*[film] * (2 if request.param == "two films" else 1))
    if request.param == "help":
        viewer.page.keyboard.press("?")
    return viewer.page


def show_evaluations(page: Page) -> None:
    """The dialog with an evaluation in every state."""
    jobs = [job(state, number=n) for n, state in enumerate(STATES)]
    page.route(re.compile("/evaluations$"), lambda route: route.fulfill(body=json.dumps(jobs)))
    page.get_by_role("button", name="Evaluations").click()
    page.locator("#evaluation-list li").nth(len(STATES) - 1).wait_for()


def test_whoever_reads_or_listens_finds_everything(scene: Page) -> None:
    texts: list[Contrast] = scene.evaluate(CONTRASTS)
    assert len(texts) > 5
    assert [text for text in texts if text["contrast"] < LEAST_CONTRAST] == []
    assert scene.evaluate(SMALL, LEAST_TARGET_PX) == []
    session = scene.context.new_cdp_session(scene)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    focusable = [node for node in nodes if takes_focus(node)]
    assert len(focusable) >= 2
    assert [node["role"] for node in focusable if not node["name"]["value"]] == []


def takes_focus(node: dict[str, Any]) -> bool:
    """Whether a node of the accessibility tree is one that the keyboard can reach."""
    if node["ignored"] or node["role"]["value"] == "RootWebArea":
        return False
    found = {entry["name"]: entry["value"].get("value") for entry in node["properties"]}
    return bool(found.get("focusable"))


def test_the_page_is_outlined(viewer: Viewer, film: Path) -> None:
    page = viewer.page
    assert page.locator("html").get_attribute("lang") == "en"
    viewer.open(film)
    for role in ("banner", "main", "complementary", "status"):
        assert page.get_by_role(role).count() == 1
    headings = page.get_by_role("heading").all_inner_texts()
    assert headings == ["PaCX", "Findings"]
    assert page.get_by_role("application", name="Radiograph A. The map is hottest").count() == 1
    identifiers = page.evaluate("[...document.querySelectorAll('[id]')].map((node) => node.id)")
    assert len(identifiers) == len(set(identifiers))


def test_no_scene_scrolls_sideways(viewer: Viewer, film: Path) -> None:
    viewer.open(film)
    for width in (1920, 1024, 760, 360):
        viewer.page.set_viewport_size({"width": width, "height": 800})
        assert viewer.page.evaluate("document.documentElement.scrollWidth") <= width
