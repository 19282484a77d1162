"""What goes wrong is said, and the page goes on."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.web.viewer import KEY, Viewer


def test_a_text_file_is_refused_with_the_servers_reason(
    viewer: Viewer, film: Path, tmp_path: Path
) -> None:
    text = tmp_path / "letter.txt"
    text.write_text("Dear colleague, thank you for seeing this patient.")
    viewer.open(text)
    alert = viewer.page.get_by_role("alert")
    expect(alert).to_contain_text("Not an image")
    expect(alert).to_contain_text("not_an_image")
    expect(alert).not_to_contain_text("colleague")
    viewer.open(film)
    expect(alert).to_be_hidden()
    expect(viewer.frame()).to_be_visible()


def test_a_refused_file_leaves_the_film_before_it_on_the_desk(
    viewer: Viewer, film: Path, tmp_path: Path
) -> None:
    viewer.open(film)
    empty = tmp_path / "empty.dcm"
    empty.write_bytes(b"")
    viewer.open(empty)
    expect(viewer.page.get_by_role("alert")).to_contain_text("empty_body")
    expect(viewer.page.locator(".findings").first).to_be_visible()
    viewer.page.get_by_label("Dismiss this message").click()
    expect(viewer.page.get_by_role("alert")).to_be_hidden()


def test_a_server_that_is_gone_is_named_as_such(viewer: Viewer, film: Path) -> None:
    viewer.page.context.set_offline(True)
    viewer.open(film)
    expect(viewer.page.get_by_role("alert")).to_contain_text("cannot be reached")


def test_a_server_that_was_not_ready_is_asked_again(
    page: Page, server_url: str, film: Path
) -> None:
    problem = {"title": "The server is not ready", "detail": "Wait.", "code": "not_ready"}
    page.route("**/models", lambda route: route.fulfill(status=503, json=problem), times=1)
    viewer = Viewer(page, server_url)
    expect(page.get_by_role("alert")).to_contain_text("not_ready")
    viewer.open(film)
    assert "Attention rollout" in viewer.caption()


def test_a_key_is_asked_for_once_and_kept_in_memory_only(
    page: Page, locked_url: str, film: Path
) -> None:
    viewer = Viewer(page, locked_url)
    dialog = page.get_by_role("dialog", name="This server asks for a key")
    viewer.unlock("wrong")
    expect(page.get_by_role("alert")).to_contain_text("did not accept")
    viewer.unlock(KEY)
    expect(dialog).to_be_hidden()
    viewer.open(film)
    expect(page.locator(".findings").first).to_be_visible()
    assert KEY not in page.content()
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0
    page.reload()
    expect(dialog).to_be_visible()
