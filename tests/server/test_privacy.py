"""Nothing that a file says about its patient leaves the server, whatever becomes of the file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.live_server import LiveServer, running
from tests.marked_file import MARKER, marked

ROUTES = (
    ("/predict?include=embedding,attention", "application/json"),
    ("/embeddings", "application/json"),
    ("/embeddings", "application/x-npy"),
    ("/explanations", "application/json"),
    ("/explanations", "image/png"),
    ("/explanations", "image/svg+xml"),
)


@pytest.fixture
def watched(tiny: Path, tmp_path: Path) -> Iterator[LiveServer]:
    """A talkative server, whose temporary folder is looked through in the end."""
    environment = {
        "PACX_BUNDLES": str(tiny),
        "PACX_LOG_LEVEL": "debug",
        "PACX_AUDIT_LOG": str(tmp_path / "audit.jsonl"),
        "PACX_AUDIT_KEY": "a key of this test",
    }
    # A socket's path holds 107 bytes at most, so its folder must not lie deep.
    with tempfile.TemporaryDirectory(prefix="pacx-") as temporary:
        environment |= {"TMPDIR": temporary, "HOME": temporary}
        with running(tmp_path, environment) as server:
            yield server
            kept = [path for path in Path(temporary).rglob("*") if path.is_file()]
            assert not any(MARKER.encode() in path.read_bytes() for path in kept)


def films() -> dict[str, bytes]:
    """Good and bad films, each with the marker in every text."""
    good = marked()
    return {
        "good": good,
        "truncated": good[:-500],
        "damaged": good[: len(good) // 2] + bytes(200) + good[len(good) // 2 + 200 :],
        "another modality": marked({"Modality": MARKER}),
        "another body part": marked({"BodyPartExamined": MARKER}),
        "another photometric interpretation": marked({"PhotometricInterpretation": MARKER}),
        "a name with lines": marked({"PatientName": f"{MARKER}\r\nforged: {MARKER}"}),
    }


def test_a_marker_in_every_text_is_found_nowhere(watched: LiveServer, tmp_path: Path) -> None:
    seen: list[bytes] = []
    with httpx.Client(base_url=watched.url, timeout=60) as client:
        for film in films().values():
            for route, accept in ROUTES:
                upload = {"file": (f"{MARKER}.dcm", film)}
                answer = client.post(route, files=upload, headers={"accept": accept})
                assert answer.status_code < 500
                seen += [answer.content, str(answer.headers.raw).encode()]
        seen += [client.get(path).content for path in ("/metrics", "/models", "/info")]
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in kept} >= {"audit.jsonl", "server.log"}
    seen += [path.read_bytes() + path.name.encode() for path in kept]
    assert not any(MARKER.encode() in part for part in seen)
