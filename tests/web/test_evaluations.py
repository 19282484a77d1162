"""Evaluations from the page: asked for with the viewer's key, watched, opened, deleted."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.conftest import Serving
from tests.evaluation.conftest import DrawnFilms, make_films
from tests.server.evaluations.conftest import key_of, settings_of
from tests.server.tiny_bundle import make_bundle
from tests.web.test_privacy import STORES
from tests.web.viewer import Viewer, job
from tests.web.wiretap import Wiretap

LONGEST_MS = 180_000


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> DrawnFilms:
    """Films with labels."""
    return make_films(tmp_path_factory.mktemp("drawn"), patients=24)


@pytest.fixture(scope="module")
def archive(drawn: DrawnFilms, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zip of them, whose name must stay with its user."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as files:
        for path in drawn.folder.iterdir():
            files.write(path, path.name)
    path = tmp_path_factory.mktemp("archive") / "DOE^JANE_19540312.zip"
    path.write_bytes(buffer.getvalue())
    return path


@pytest.fixture(scope="module")
def evaluating_url(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that evaluates for those who have a key."""
    bundle = make_bundle(tmp_path_factory.mktemp("bundles") / "tiny").directory
    with serving(**settings_of(bundle, tmp_path_factory.mktemp("store"), urgency="low")) as address:
        yield address


def _opened(page: Page, address: str) -> Locator:
    """The dialog, on a page that has been given a key."""
    Viewer(page, address).unlock(key_of("anna"))
    page.get_by_role("button", name="Evaluations").click()
    return page.get_by_role("dialog", name="Evaluations")


def _submit(dialog: Locator, archive: Path) -> Locator:
    """The newest entry of the list after films were sent."""
    before = dialog.get_by_role("listitem").count()
    dialog.get_by_label("Films and one table, as zip or tar").set_input_files(archive)
    dialog.get_by_role("button", name="Evaluate", exact=True).click()
    expect(dialog.get_by_role("listitem")).to_have_count(before + 1)
    return dialog.get_by_role("listitem").first


def test_films_are_evaluated_and_their_report_is_read_and_deleted(
    page: Page, evaluating_url: str, archive: Path
) -> None:
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    with Wiretap(evaluating_url) as tap:
        dialog = _opened(page, tap.url)
        expect(dialog.get_by_text("No evaluation has been asked for.")).to_be_visible()
        entry = _submit(dialog, archive)
        expect(entry).to_contain_text("succeeded", timeout=LONGEST_MS)
        expect(dialog.get_by_role("status")).to_contain_text("succeeded")
        expect(entry.get_by_role("progressbar")).to_be_hidden()
        with page.expect_popup() as popup:
            entry.get_by_role("button", name="Open report").click()
        expect(popup.value.get_by_role("heading", level=1)).to_be_visible()
        assert "/evaluation-reports/" in popup.value.url
        popup.value.close()

        entry.get_by_role("button", name="Delete the evaluation").press("Enter")
        sure = entry.get_by_role("button", name="Delete for good")
        expect(sure).to_be_focused()
        sure.press("Enter")
        expect(dialog.get_by_role("listitem")).to_have_count(0)
        expect(dialog.get_by_role("status")).to_have_text("The evaluation is deleted.")
        sent = tap.sent
        assert all(address.startswith((f"{tap.url}/", "data:")) for address in addresses)
    assert b"manifest.csv" in sent, "the wire was listened to"
    assert b"DOE" not in sent
    assert set(page.evaluate(STORES).values()) == {0}
    assert page.url == f"{tap.url}/"


def test_an_evaluation_is_cancelled(page: Page, evaluating_url: str, archive: Path) -> None:
    dialog = _opened(page, evaluating_url)
    entry = _submit(dialog, archive)
    entry.get_by_role("button", name="Cancel").click()
    expect(entry).to_contain_text("cancelled")
    expect(entry.get_by_role("button", name="Cancel")).to_be_hidden()
    expect(entry.get_by_role("button", name="Open report")).to_be_hidden()
    remove = entry.get_by_role("button", name="Delete")
    remove.click()
    expect(remove).to_have_text("Delete for good")
    dialog.get_by_role("button", name="Close").focus()
    expect(remove).to_have_text("Delete")
    expect(entry).to_be_visible()


def test_what_is_no_archive_is_refused_and_the_reason_is_said(
    page: Page, evaluating_url: str, tmp_path: Path
) -> None:
    letter = tmp_path / "letter.zip"
    letter.write_text("Dear colleague")
    dialog = _opened(page, evaluating_url)
    dialog.get_by_label("Films and one table").set_input_files(letter)
    dialog.get_by_role("button", name="Evaluate", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("malformed")
    expect(dialog.get_by_role("alert")).not_to_contain_text("colleague")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_a_caller_who_may_not_evaluate_is_told_once(page: Page, evaluating_url: str) -> None:
    Viewer(page, evaluating_url).unlock(key_of("paul"))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("button", name="Evaluations").click()
    dialog = page.get_by_role("dialog", name="Evaluations")
    expect(dialog.get_by_role("alert")).to_contain_text("forbidden")
    page.wait_for_timeout(1500)
    assert len([url for url in asked if url.endswith("/evaluations")]) == 1


def test_focus_and_labels_survive_progress(page: Page, server_url: str) -> None:
    jobs = [job("running", done=1)]
    page.route(re.compile("/evaluations$"), lambda route: route.fulfill(body=json.dumps(jobs)))
    Viewer(page, server_url)
    page.get_by_role("button", name="Evaluations").click()
    dialog = page.get_by_role("dialog", name="Evaluations")
    cancel = dialog.get_by_role("button", name="Cancel the evaluation of")
    cancel.focus()
    expect(dialog.get_by_text("embedding: 1 of 8")).to_be_visible()
    jobs[:] = [job("queued", number=1), job("running", done=5)]
    expect(dialog.get_by_text("embedding: 5 of 8")).to_be_visible()
    expect(dialog.get_by_role("listitem")).to_have_count(2)
    expect(
        dialog.get_by_role("listitem").nth(1).get_by_role("button", name="Cancel")
    ).to_be_focused()
    jobs[1] = job("failed")
    expect(dialog.get_by_role("status")).to_contain_text("failed")
    expect(dialog.get_by_text("row 2: opacity is not a number (bad)")).to_be_visible()
