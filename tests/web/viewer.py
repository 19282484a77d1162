"""The viewer as a user meets it: what it shows, and what can be done to it."""

from __future__ import annotations

import io
import json
import urllib.request
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import FloatRect, Locator, Page

KEY = "a-key-that-only-the-tests-know-0123456789"
"""What the locked server asks for."""
TWO_FRAMES = """() => new Promise((drawn) => {
  requestAnimationFrame(() => requestAnimationFrame(drawn));
})"""
HIDE_PLATES = """() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync('.plate { visibility: hidden } .frame::after { display: none !important }');
  document.adoptedStyleSheets = [sheet];
}"""


class Viewer:
    """A page object on Playwright's page."""

    def __init__(self, page: Page, server_url: str) -> None:
        self.page = page
        self.server_url = server_url
        page.goto(server_url)
        page.locator("body:not(.busy), dialog[open]").first.wait_for()

    def open(self, *films: Path) -> None:
        """Choose files and wait until they have been read."""
        self.page.locator("#file").set_input_files(list(films))
        self.settle()

    def open_plain(self, *films: Path) -> None:
        """Open films and leave out the outlines, which would lie over film and map."""
        self.open(*films)
        for box in self.page.locator("#outlines input:visible").all():
            box.uncheck()
        self.settle()

    def unlock(self, key: str) -> None:
        """Give a key to the page that asks for one."""
        self.page.get_by_label("API key").fill(key)
        self.page.keyboard.press("Enter")

    def settle(self) -> None:
        """Wait until nothing is asked any more and everything is drawn."""
        self.page.locator("body:not(.busy)").wait_for()
        self.page.evaluate(TWO_FRAMES)

    def at(self, name: str) -> Locator:
        """An element by its id."""
        return self.page.locator(f"#{name}")

    def frame(self, name: str = "A") -> Locator:
        """The film of that name."""
        return self.page.locator(f".pane[data-name={name}] .frame")

    def state(self, name: str = "A") -> str:
        """What the corner of a film says of window and zoom."""
        return self.page.locator(f".pane[data-name={name}] .state").inner_text()

    def set_opacity(self, percent: int) -> None:
        """Move the slider."""
        self.at("opacity").fill(str(percent))
        self.settle()

    def film_box(self, name: str = "A") -> FloatRect:
        """Where a film lies on the screen, CSS pixels."""
        box = self.page.locator(f".pane[data-name={name}] .stage").bounding_box()
        assert box is not None
        return box

    def film_pixels(self, name: str = "A") -> NDArray[np.float32]:
        """The film as it is seen, without the plates in its corners; float32 ``[h, w, 3]``."""
        self.page.evaluate(HIDE_PLATES)
        picture = self.page.screenshot(clip=self.film_box(name))
        self.page.evaluate("document.adoptedStyleSheets = []")
        return decode(picture)

    def caption(self, name: str = "A") -> str:
        """What is laid over a film, in words."""
        return self.page.locator(f".pane[data-name={name}] .plate.foot").inner_text()

    def announced(self) -> str:
        """What was said last to those who listen."""
        return self.at("announcer").inner_text()

    def save(self, path: Path) -> NDArray[np.float32]:
        """Press "Save PNG" and read the picture."""
        with self.page.expect_download() as download:
            self.at("save").click()
        assert download.value.suggested_filename == "pacx.png"
        download.value.save_as(path)
        return decode(path.read_bytes())

    def ask_server(self, path: str, film: Path, accept: str = "application/json") -> bytes:
        """The server's own answer about a file, not through the page."""
        request = urllib.request.Request(
            f"{self.server_url}/{path}",
            film.read_bytes(),
            {"content-type": "application/dicom", "accept": accept},
        )
        with urllib.request.urlopen(request) as response:
            body: bytes = response.read()
        return body

    def grid(self, film: Path, method: str) -> NDArray[np.float32]:
        """The server's map of a film, float32 ``[rows, columns]`` of the model's grid."""
        answer = json.loads(self.ask_server(f"explanations?method={method}", film))
        return np.asarray(answer["grid"], dtype=np.float32)


def drag(viewer: Viewer, right: float, down: float) -> None:
    """Press in the middle of the film, move, release."""
    box = viewer.frame().bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    viewer.page.mouse.move(x, y)
    viewer.page.mouse.down()
    viewer.page.mouse.move(x + right, y + down, steps=3)
    viewer.page.mouse.up()
    viewer.settle()


def decode(png: bytes) -> NDArray[np.float32]:
    """Red, green, blue of a PNG, float32 ``[rows, columns, 3]`` in 0 .. 255."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=np.float32)


def job(state: str, *, number: int = 0, done: int = 0) -> dict[str, object]:
    """An evaluation as the server describes it."""
    failure = {"code": "bad", "detail": "row 2: opacity is not a number"}
    return {
        "id": f"{number:032x}",
        "state": state,
        "options": {"protocols": ["linear"]},
        "created_at": "2026-01-02T03:04:05Z",
        "progress": {"doing": "embedding", "done": done, "total": 8} if done else None,
        "failure": failure if state == "failed" else None,
    }
