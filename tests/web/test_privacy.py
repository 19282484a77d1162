"""Nothing about a patient leaves the page but the picture itself, and that to one server."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page

from tests.web.viewer import Viewer
from tests.web.wiretap import Wiretap

STORES = """async () => ({
  local: localStorage.length,
  session: sessionStorage.length,
  cookies: document.cookie.length,
  caches: (await caches.keys()).length,
  databases: (await indexedDB.databases()).length,
  workers: (await navigator.serviceWorker.getRegistrations()).length,
})"""


def use_everything(viewer: Viewer, film: Path) -> None:
    """Open, change the map, compare, save."""
    viewer.open(film)
    viewer.at("method").select_option("last_layer")
    viewer.settle()
    with viewer.page.expect_file_chooser() as chooser:
        viewer.at("compare").click()
    chooser.value.set_files(film)
    viewer.page.locator(".pane[data-name=B]").wait_for()
    viewer.settle()
    viewer.save(film.with_suffix(".png"))


def test_nothing_but_the_picture_leaves_the_page(page: Page, wiretap: Wiretap, film: Path) -> None:
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    use_everything(Viewer(page, wiretap.url), film)

    ours = (f"{wiretap.url}/", f"blob:{wiretap.url}/")
    assert len(addresses) > 20
    assert [address for address in addresses if not address.startswith(ours)] == []
    sent = wiretap.sent
    assert sent.count(b"POST /predict") == 2
    assert film.read_bytes() in sent, "the wire was listened to"
    assert b"DOE" not in sent
    assert b"19540312" not in sent

    assert page.url == f"{wiretap.url}/"
    assert page.title() == "PaCX viewer"
    assert "DOE" not in page.content()
    assert set(page.evaluate(STORES).values()) == {0}


def test_the_page_works_under_a_strict_policy(page: Page, server_url: str) -> None:
    """The fixture fails on any breach; here the policy is shown to forbid what it should."""
    answer = page.goto(server_url)
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
