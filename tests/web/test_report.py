"""The report beside the film: findings, facts, warnings, and what it is not for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.web.viewer import Viewer


def test_the_findings_are_the_servers(viewer: Viewer, film: Path) -> None:
    viewer.open(film)
    answer = json.loads(viewer.ask_server("predict", film))
    assert answer["findings"]
    for finding in answer["findings"]:
        row = viewer.page.locator(f"tr[data-label='{finding['label']}']")
        cells = [text.strip() for text in row.locator("th, td").all_inner_texts()]
        assert cells[0].startswith(finding["label"].replace("_", " "))
        assert ("measured" in cells[0]) == finding["measured"]
        assert percent(cells[2]) == pytest.approx(finding["probability"] * 100, abs=0.5)
        assert percent(cells[3]) == pytest.approx(finding["threshold"] * 100, abs=0.5)
        side = "above" if finding["positive"] else "below"
        assert f"{side} its threshold" in cells[2]
        width = row.locator(".fill").evaluate("(fill) => fill.style.width")
        assert abs(float(width.rstrip("%")) - finding["probability"] * 100) < 0.01


def test_the_report_says_which_model_spoke_and_what_it_saw(viewer: Viewer, film: Path) -> None:
    viewer.open(film)
    answer = json.loads(viewer.ask_server("predict", film))
    model, shown = answer["model"], viewer.at("report").inner_text()
    for text in (model["name"], model["version"], model["sha256"][:12], model["engine"]):
        assert text in shown
    assert f"{model['name']} {model['version']}" in viewer.at("model").inner_text()
    assert "0.800 x 0.800 mm" in shown
    assert "500 px" in shown
    assert "420 px" in shown


def test_not_for_clinical_use_is_always_in_sight(viewer: Viewer, film: Path) -> None:
    notice = viewer.page.get_by_text("Not for clinical use")
    expect(notice).to_be_in_viewport()
    viewer.open(film)
    viewer.page.mouse.wheel(0, 2000)
    viewer.at("report").evaluate("(report) => report.scrollIntoView({ block: 'end' })")
    expect(notice).to_be_in_viewport()


def test_what_a_richer_model_says_is_shown(viewer: Viewer, film: Path) -> None:
    """The bundled model has no physiology: its answer is given some, and a fixed anatomy."""
    answer = enriched(json.loads(viewer.ask_server("predict?include=attention", film)))
    viewer.page.route("**/predict?*", lambda route: route.fulfill(json=answer))
    viewer.open(film)
    report = viewer.at("report").inner_text()
    assert "Cardiothoracic ratio" in report
    assert "0.48" in report
    assert "112 cm²" in report
    physiology = viewer.page.get_by_role("table", name="Physiology")
    assert "simulated" in physiology.inner_text()
    assert "not calibrated" in physiology.inner_text()
    (value,) = viewer.page.get_by_role("table", name="Estimated values").get_by_role("row").all()
    shown = "NT-proBNP simulated 1,230 pg/mL 87.2 to 6,540"
    assert value.inner_text().split() == shown.split()
    assert "Low haemoglobin (simulated)" in viewer.announced()
    targets = viewer.at("target").locator("option").all_inner_texts()
    assert targets[-1] == "Low haemoglobin (simulated)"
    assert "simulated" not in targets[0]
    warnings = viewer.page.get_by_role("list", name="Warnings").get_by_role("listitem")
    assert [text.split(":")[0] for text in warnings.all_inner_texts()] == [
        "Simulated physiology",
        "The film is rotated.",
    ]
    assert viewer.page.locator(".outlines path").count() == 2
    heart = viewer.page.locator(".outlines .heart")
    expect(heart).to_be_visible()
    viewer.page.get_by_role("checkbox", name="Heart").uncheck()
    expect(heart).to_be_hidden()
    expect(viewer.page.get_by_role("checkbox", name="Lungs")).to_be_hidden()


def percent(text: str) -> float:
    """The number in a cell."""
    number = re.search(r"[\d.]+", text)
    assert number is not None
    return float(number[0])


def enriched(answer: dict[str, Any]) -> dict[str, Any]:
    """Add to a real answer what the contract allows and the bundled model does not have."""
    finding = {
        "label": "Low_haemoglobin",
        "group": "physiology",
        "probability": 0.7,
        "threshold": 0.5,
        "positive": True,
        "calibrated": False,
        "simulated": True,
    }
    value = {
        "label": "NT-proBNP",
        "group": "physiology",
        "value": 1234.5,
        "low": 87.2,
        "high": 6543.2,
        "unit": "pg/mL",
        "simulated": True,
    }
    anatomy = {
        "cardiothoracic_ratio": 0.483,
        "heart_area_mm2": 11200.0,
        "lung_area_mm2": None,
        "contours": {"heart": [[[150, 250], [300, 250], [300, 380], [150, 380]]]},
        "lines": {"heart": [[150, 300], [300, 300]], "chest": [[40, 330], [380, 330]]},
    }
    return answer | {
        "model": answer["model"] | {"simulated_physiology": True},
        "findings": [*answer["findings"], finding],
        "values": [value],
        "anatomy": anatomy,
        "warnings": [{"code": "rotated", "message": "The film is rotated."}],
    }
