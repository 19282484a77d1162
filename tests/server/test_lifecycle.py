"""Starting, reloading, draining and dying; faults.md rows 42 to 47 and 50."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from pacx.bundle import bundled
from pacx.errors import BundleError
from pacx_server.commands import serve
from pacx_server.serving import CANARY_INTERVAL_S
from tests.live_server import LiveServer, wait_until_ready
from tests.server.conftest import Launch
from tests.server.test_predict import png
from tests.server.test_problems import check
from tests.server.tiny_bundle import SIZE, make_bundle


def refused(folder: Path, **settings: str) -> str:
    """Start a server that should not start; gives its one line."""
    environment = os.environ | {f"PACX_{name.upper()}": value for name, value in settings.items()}
    ended = subprocess.run(
        [sys.executable, "-m", "pacx", "serve", "--port", "0"],
        env=environment | {"PACX_LOG_LEVEL": "error"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    return " ".join(ended.stderr.split())


def broken(tmp_path: Path, kind: str) -> Path:
    folder = make_bundle(tmp_path / kind, shift=1.0 if kind == "replay" else 0.0).directory
    manifest = json.loads((folder / "manifest.json").read_text())
    if kind == "hash":
        (folder / "predict.onnx").write_bytes(b"x" * manifest["files"]["predict.onnx"]["bytes"])
    elif kind == "endless":
        manifest["encoder"]["depth"] = 10**30
    elif kind == "schema":
        manifest["schema_version"] = 99
    elif kind == "labels":
        manifest["heads"][0]["findings"].pop()
    elif kind == "untrained":
        manifest["heads"][0]["findings"][0]["training_positives"] = 0
    elif kind == "missing":
        (folder / "reference.safetensors").unlink()
    if kind in ("schema", "labels", "untrained", "endless"):
        (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("hash", "predict.onnx has another checksum"),
        ("schema", "unknown schema version"),
        ("endless", "encoder.depth: Input should be less than or equal to 1024"),
        ("labels", "number of findings differs"),
        ("untrained", "training_positives"),
        ("missing", "reference.safetensors is missing"),
    ],
)
def test_a_damaged_bundle_is_refused_before_anything_listens(
    tmp_path: Path, kind: str, words: str
) -> None:
    with pytest.raises(BundleError, match=words):
        serve(bundle=[str(broken(tmp_path, kind))])


@pytest.mark.parametrize("make", [False, True], ids=["nothing", "no bundle"])
def test_a_folder_that_is_no_bundle_is_named_once(tmp_path: Path, make: bool) -> None:
    folder = tmp_path / "folder"
    if make:
        folder.mkdir()
    with pytest.raises(BundleError) as refusal:
        serve(bundle=[str(folder)])
    assert refusal.value.detail.count(str(folder)) == 1


def test_a_graph_that_fails_its_replay_here_is_refused_in_one_line(tmp_path: Path) -> None:
    words = refused(tmp_path, bundles=str(broken(tmp_path, "replay")))
    assert "fails the bundle's own check" in words


def test_the_second_of_two_bundles_is_refused_by_its_own_line_alone(
    tmp_path: Path, tiny: Path
) -> None:
    second = broken(tmp_path, "replay")
    words = refused(tmp_path, bundles=f"{tiny},{second}")
    assert words.startswith("engine_unavailable: ")
    assert f"{second}:Thegraph" in words.replace(" ", "")  # wherever its lines were broken
    twice = refused(tmp_path, bundles=f"{tiny},{tiny}")
    assert twice == "settings_invalid: Two bundles are called tiny."


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"device": "cuda"}, "no device cuda"),
        ({"host": "0.0.0.0"}, "PACX_ALLOW_UNAUTHENTICATED"),
    ],
)
def test_settings_that_cannot_be_met_are_refused_in_one_line(
    tmp_path: Path, tiny: Path, settings: dict[str, str], words: str
) -> None:
    assert words in refused(tmp_path, **({"bundles": str(tiny)} | settings))


def test_a_certificate_that_is_none_is_refused(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "certificate.pem").write_text("none")
    words = refused(tmp_path, bundles=str(tiny), tls_certificate=str(tmp_path / "certificate.pem"))
    assert "PACX_TLS_CERTIFICATE" in words


def test_before_the_models_are_loaded_probes_live_and_requests_wait(
    launch: Launch, tmp_path: Path, phantom_dicom: bytes
) -> None:
    slow = make_bundle(tmp_path / "slow", work=400).directory
    server = launch(wait=False, bundles=slow)
    with httpx.Client(base_url=server.url) as client:
        answer = first_answer(client)
        assert answer.is_success
        early = client.post("/predict", files={"file": phantom_dicom})
        if check_early := early.status_code == 503:
            check(early, 503, "not_ready")
            assert "retry-after" in early.headers
            assert client.get("/health/ready").status_code == 503
    wait_until_ready(server)
    assert check_early
    assert f"PaCX viewer: {server.url}/" in server.text()


def first_answer(client: httpx.Client) -> httpx.Response:
    deadline = time.monotonic() + 60
    while True:
        try:
            return client.get("/health/live")
        except httpx.ConnectError:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def poison() -> bytes:
    """So bright that the model answers NaN."""
    pixels = np.full((SIZE, SIZE), 255, dtype=np.uint8)
    pixels[:8, :8] = 0
    return png(pixels)


def test_poison_gets_500_and_its_mates_are_answered(
    http: httpx.Client, phantom_dicom: bytes
) -> None:
    async def story() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=http.base_url, timeout=60) as client:
            files = [phantom_dicom, poison(), phantom_dicom, phantom_dicom]
            return list(
                await asyncio.gather(
                    *(client.post("/predict", files={"file": file}) for file in files)
                )
            )

    answers = asyncio.run(story())
    assert [answer.status_code for answer in answers] == [200, 500, 200, 200]
    check(answers[1], 500, "non_finite_output")
    assert http.get("/health/ready").is_success


async def keep_asking(
    server: LiveServer, file: bytes, stop: asyncio.Event, model: str = "tiny"
) -> list[httpx.Response]:
    """Ask one question after the other until told to stop."""
    answers = []
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        while not stop.is_set():
            answers.append(await client.post(f"/predict?model={model}", files={"file": file}))
    return answers


def test_two_models_and_their_reload_under_load(
    launch: Launch, tmp_path: Path, busy: Path, phantom_dicom: bytes
) -> None:
    """Nothing is lost when a new version takes over, and a bad one is refused."""
    folder = make_bundle(tmp_path / "tiny").directory
    server = launch(bundles=f"{folder},{busy}")
    names = [model["name"] for model in httpx.get(f"{server.url}/models").json()]
    assert names == ["tiny", "busy"]

    async def story() -> list[list[httpx.Response]]:
        stop = asyncio.Event()
        asking = [
            asyncio.ensure_future(keep_asking(server, phantom_dicom, stop, model))
            for model in ("tiny", "tiny", "busy")
        ]
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            shutil.rmtree(folder)
            make_bundle(folder, version="2.0")
            reloaded = await client.post("/models/tiny/reload")
            assert reloaded.json()["version"] == "2.0"
            (folder / "README.md").write_text("changed")
            bad = await client.post("/models/tiny/reload")
            check(bad, 409, "reload_refused")
            shutil.rmtree(folder)
            make_bundle(folder, version="3.0")
            server.signal(signal.SIGHUP)
            for _ in range(600):
                if '"now": "tiny@3.0"' in server.text():
                    break
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.3)
        stop.set()
        return list(await asyncio.gather(*asking))

    answers = asyncio.run(story())
    assert {answer.status_code for some in answers for answer in some} == {200}
    versions = [answer.json()["model"]["version"] for answer in answers[0]]
    assert versions == sorted(versions)
    assert versions[-1] == "3.0"
    assert {answer.json()["model"]["name"] for answer in answers[2]} == {"busy"}
    info = re.findall(r"^pacx_model_info\{.*\}", httpx.get(f"{server.url}/metrics").text, re.M)
    assert len(info) == 2


@pytest.mark.parametrize("damage", ["removed", "another"])
def test_what_is_served_does_not_depend_on_its_folder(
    launch: Launch, tmp_path: Path, phantom_dicom: bytes, damage: str
) -> None:
    """A version that is being replaced on the disk goes on, and says so when it is probed."""
    folder = shutil.copytree(bundled(), tmp_path / "small")
    server = launch(bundles=folder)
    with httpx.Client(base_url=server.url, timeout=60) as client:
        before = client.post("/predict", files={"file": phantom_dicom}).json()
        shutil.rmtree(folder)
        if damage == "another":
            make_bundle(folder, name=before["model"]["name"], version="2.0", shift=1.0)
        time.sleep(CANARY_INTERVAL_S)
        assert client.get("/health/ready").is_success
        check(client.post("/models/pacx-small/reload"), 409, "reload_refused")
        after = client.post("/predict", files={"file": phantom_dicom}).json()
        assert (after["model"], after["findings"]) == (before["model"], before["findings"])
        # A map needs a graph that is loaded when it is first wanted.
        wanted = {"method": "relevance", "target": "Effusion"}
        mapped = client.post("/explanations", params=wanted, files={"file": phantom_dicom})
        check(mapped, 503, "not_ready")
        assert "reload" in mapped.json()["detail"]


def test_many_probes_cost_what_one_costs(launch: Launch, tmp_path: Path) -> None:
    slow = make_bundle(tmp_path / "slow", work=300).directory
    server = launch(bundles=slow)

    async def probe(times: int) -> float:
        await asyncio.sleep(CANARY_INTERVAL_S)
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            began = time.monotonic()
            probes = (client.get("/health/ready") for _ in range(times))
            answers = await asyncio.gather(*probes)
        assert all(answer.is_success for answer in answers)
        return time.monotonic() - began

    alone = asyncio.run(probe(1))
    assert asyncio.run(probe(60)) < 10 * alone


def test_sigterm_finishes_what_is_in_flight(
    launch: Launch, busy: Path, phantom_dicom: bytes
) -> None:
    server = launch(bundles=busy, deadline_s=240, drain_s=240)

    async def story() -> tuple[list[int], int, int]:
        limits = httpx.Limits(max_connections=120)
        async with httpx.AsyncClient(base_url=server.url, timeout=240, limits=limits) as client:
            flight = [
                asyncio.ensure_future(client.post("/predict", files={"file": phantom_dicom}))
                for _ in range(100)
            ]
            await asyncio.wait(flight, return_when=asyncio.FIRST_COMPLETED)
            server.signal(signal.SIGTERM)
            ready = await client.get("/health/ready")
            while ready.status_code == 200:
                ready = await client.get("/health/ready")
            late = await client.post("/predict", files={"file": phantom_dicom})
            statuses = [answer.status_code for answer in await asyncio.gather(*flight)]
        return statuses, ready.status_code, late.status_code

    statuses, ready, late = asyncio.run(story())
    assert statuses == [200] * 100
    assert (ready, late) == (503, 503)
    assert server.process.wait(timeout=40) == 0


def test_what_is_not_finished_in_time_is_told_so(launch: Launch, phantom_dicom: bytes) -> None:
    """Whoever has no answer when the grace is over can ask another server at once."""
    film = {"file": phantom_dicom}
    server = launch(bundles=bundled(), drain_s=1, deadline_s=240)

    async def story() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=server.url, timeout=240) as client:
            question = {"method": "occlusion", "target": "Effusion"}
            flight = [
                asyncio.ensure_future(client.post("/explanations", params=question, files=film))
                for _ in range(5)
            ]
            while "pacx_inflight_images 5.0" not in (await client.get("/metrics")).text:
                pass
            server.signal(signal.SIGTERM)
            return list(await asyncio.gather(*flight))

    answers = asyncio.run(story())
    assert server.process.wait(timeout=10) == 0
    for answer in answers:
        check(answer, 503, "not_ready")
        assert "retry-after" in answer.headers
    assert '"exception"' not in server.text()


def test_an_explanation_ends_with_the_wait_for_it(
    launch: Launch, busy: Path, phantom_dicom: bytes
) -> None:
    """Explanations are made one after the other: who has left must not hold up the others."""
    server = launch(bundles=busy, deadline_s=1)
    with httpx.Client(base_url=server.url, timeout=60) as client:
        film = {"file": phantom_dicom}
        question = {"method": "occlusion", "target": "Brightness"}
        late = client.post("/explanations", params=question, files=film)
        check(late, 504, "deadline_exceeded")
        assert client.post("/explanations", files=film).is_success


def test_a_killed_decoder_is_replaced_and_counted(launch: Launch, phantom_dicom: bytes) -> None:
    server = launch(decode_workers=1)

    async def story() -> list[int]:
        stop = asyncio.Event()
        asking = asyncio.ensure_future(keep_asking(server, phantom_dicom, stop))
        await asyncio.sleep(0.3)
        for _ in range(3):
            for decoder in decoders(server):
                decoder.kill()
            await asyncio.sleep(1)
        stop.set()
        return [answer.status_code for answer in await asking]

    statuses = asyncio.run(story())
    assert set(statuses) == {200}
    text = httpx.get(f"{server.url}/metrics").text
    assert 'pacx_decoder_replacements_total{reason="crashed"}' in text


def decoders(server: LiveServer) -> list[psutil.Process]:
    """Processes that decode: the children of the fork server, which is a child of the server."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    return [child for child in children if len(child.parents()) > len(children[0].parents())]


def test_a_misspelt_variable_is_told_and_anothers_is_not(launch: Launch) -> None:
    server = launch(max_bacth="4", orchard="7")
    told = [line for line in server.text().splitlines() if "is no setting" in line]
    assert len(told) == 1
    assert "PACX_MAX_BACTH" in told[0]
    assert "PACX_MAX_BATCH" in told[0]
