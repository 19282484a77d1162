"""Evaluations through a real server, its real processes and the Python client."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from typer import Typer
from typer.testing import CliRunner

from pacx_client import (
    Evaluation,
    InvalidInput,
    NotFound,
    OnServer,
    Overloaded,
    PacxClient,
    Unauthorized,
)
from pacx_evaluation.commands import evaluate
from tests.evaluation.conftest import DrawnFilms
from tests.live_server import LiveServer
from tests.server.evaluations.archives import HOSTILE, zip_of, zip_of_many
from tests.server.evaluations.conftest import Ask, key_of

LABELS = ["opacity", "rare"]
HALF_FORM = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + zip_of({})


@pytest.fixture(scope="module")
def done(evaluating: LiveServer, drawn: DrawnFilms) -> Evaluation:
    """An evaluation that Anna asked for and that went well."""
    seen: list[str] = []
    with PacxClient(evaluating.url, api_key=key_of("anna")) as client:
        job = client.evaluate(drawn.folder, labels=LABELS, replicates=100)
        assert job.state in ("queued", "running")
        ended = client.wait(job.id, progress=lambda job: seen.append(job.state), poll_s=0.2)
    assert ended.failure is None
    assert ended.state == seen[-1] == "succeeded"
    assert "running" in seen
    return ended


def test_metrics_are_those_of_the_command(
    done: Evaluation,
    asks: Ask,
    evaluating: LiveServer,
    drawn: DrawnFilms,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PACX_API_KEY", key_of("paul"))
    app = Typer()
    app.command()(evaluate)
    arguments = [evaluating.url, "--benchmark", str(drawn.manifest), "-o", str(tmp_path / "out")]
    arguments += [part for label in LABELS for part in ("--label", label)]
    arguments += ["--cache", str(tmp_path / "cache.sqlite"), "--replicates", "100"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    expected = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert asks("anna").evaluation_metrics(done.id) == expected


def test_what_cannot_be_measured_is_stated(done: Evaluation, asks: Ask) -> None:
    sections: Any = asks("anna").evaluation_metrics(done.id)["sections"]
    rare = [row for row in sections[0]["measurements"] if row["target"] == "rare"]
    assert rare
    assert all(row["value"] is None for row in rare)
    assert rare[0]["reason"] == "1 positive films, fewer than 10"
    with zipfile.ZipFile(io.BytesIO(asks("anna").evaluation_report(done.id))) as report:
        data = json.loads(report.read("report/data.json"))
        assert "report/report.html" in report.namelist()
    assert {"reason": "opacity: no label", "films": 7} in data["exclusions"]


def test_the_report_is_a_page_of_its_own(done: Evaluation, evaluating: LiveServer) -> None:
    key = {"x-api-key": key_of("anna")}
    with httpx.Client(base_url=evaluating.url, timeout=60) as client:
        page = client.get(f"/evaluations/{done.id}/report", headers=key)
        own = page.url.join("tables/linear.csv")
        assert client.get(own, headers=key).text.startswith("subject,")
        assert client.get(own).status_code == 401
        for file in ("tables/none.csv", "figures/..csv", "jobs/log"):
            assert client.get(page.url.join(file), headers=key).status_code in (404, 422)
        assert page.headers["content-type"].startswith("text/html")
        assert page.headers["content-security-policy"].startswith("sandbox ")
        assert "script-src" not in page.headers["content-security-policy"]
        link = client.post(f"/evaluations/{done.id}/link", headers=key).json()["url"]
        assert client.get(link).content == page.content
        table = client.get(link.replace("report.html", "tables/linear.csv"))
        assert table.headers["content-type"].startswith("text/csv")
        for wrong in (link.replace(done.id, "0" * 32), link[:-20], link.replace(".", "1", 1)):
            assert client.get(wrong).status_code in (404, 422)
        for file in ("predictions.parquet", "../log", "%2e%2e/log"):
            answer = client.get(link.replace("report.html", file))
            assert answer.status_code in (404, 422), file


def test_films_go_and_reports_stay(done: Evaluation, store: Path) -> None:
    left = {path.name for path in (store / "jobs" / done.id).iterdir()}
    assert left == {"report", "report.zip", "log"}
    assert not list(store.rglob("*.png"))
    assert (store / "jobs" / done.id).stat().st_mode & 0o077 == 0


def test_only_the_owner_and_the_administrator_see_an_evaluation(
    done: Evaluation, asks: Ask
) -> None:
    assert done.id in {job.id for job in asks("anna").evaluations()}
    assert done.id in {job.id for job in asks("root").evaluations()}
    bert = asks("bert")
    assert bert.evaluations() == ()
    questions: tuple[Callable[[str], object], ...] = (
        bert.evaluation,
        bert.evaluation_metrics,
        bert.evaluation_report,
        bert.cancel_evaluation,
        bert.delete_evaluation,
    )
    for question in questions:
        with pytest.raises(NotFound):
            question(done.id)
    assert asks("root").evaluation(done.id).owner == "anna"
    with pytest.raises(Unauthorized, match="forbidden"):
        asks("paul").evaluations()
    for name in ("paul", "root"):
        with pytest.raises(Unauthorized, match="forbidden"):
            asks(name).evaluate(zip_of({"manifest.csv": b"path\n"}))


BAD: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "leaky": (
        lambda table: table.assign(patient="one", split=["train", "test"] * (len(table) // 2)),
        "two of its splits share a patient",
    ),
    "missing": (
        lambda table: table.assign(path=[*table["path"][:-1], "gone.png"]),
        "row 9: the image file is missing",
    ),
    "strings": (
        lambda table: table.assign(opacity="Doe, Jane"),
        "row 2: opacity is not a number",
    ),
    "outside": (
        lambda table: table.assign(path="../../../../../etc/passwd"),
        "row 2: the image lies outside the folder",
    ),
}


def test_a_manifest_that_is_wrong_is_told_so(asks: Ask, drawn: DrawnFilms) -> None:
    client = asks("anna")
    honest = drawn.table[["path", "patient", "split", "opacity"]].iloc[10:18]
    files = {name: (drawn.folder / name).read_bytes() for name in honest["path"]}
    asked = {
        kind: client.evaluate(
            zip_of(files | {"films.csv": spoil(honest).to_csv(index=False).encode()})
        )
        for kind, (spoil, _) in BAD.items()
    }
    for kind, job in asked.items():
        ended = client.wait(job.id, poll_s=0.2)
        assert ended.state == "failed"
        assert ended.failure is not None
        assert ended.failure.code == "cohort_invalid", kind
        assert BAD[kind][1] in ended.failure.detail, kind
        assert "Doe" not in ended.failure.detail
        assert "passwd" not in ended.failure.detail
        with pytest.raises(Exception, match="no_report"):
            client.evaluation_metrics(job.id)


def test_words_without_end_fail_their_own_evaluation_only(asks: Ask, drawn: DrawnFilms) -> None:
    """An error that names a column of 100,000 letters is longer than any line that is read."""
    client = asks("anna")
    table = drawn.table[["path", "patient", "split"]].iloc[:8].assign(**{"o" * 100_000: "words"})
    files = {name: (drawn.folder / name).read_bytes() for name in table["path"]}
    job = client.evaluate(zip_of(files | {"films.csv": table.to_csv(index=False).encode()}))
    ended = client.wait(job.id, poll_s=0.2)
    assert ended.state == "failed"
    assert ended.attempts == 1


def test_who_follows_what_is_deleted_hears_its_end(
    asks: Ask, evaluating: LiveServer, store: Path
) -> None:
    job = asks("anna").evaluate(zip_of({"manifest.csv": b"path,opacity\n"}))
    with (
        httpx.Client(base_url=evaluating.url, headers={"x-api-key": key_of("anna")}) as client,
        client.stream("GET", f"/evaluations/{job.id}/events", timeout=60) as events,
    ):
        lines = events.iter_lines()
        heard = [next(lines)]
        asks("anna").delete_evaluation(job.id)
        heard += list(lines)
    assert [line for line in heard if line.startswith("event:")][-1] == "event: end"
    deadline = time.monotonic() + 60
    while job.id in jobs_in(store):
        assert time.monotonic() < deadline, "its folder stays"
        time.sleep(0.1)


@pytest.mark.parametrize("case", [HOSTILE[0], HOSTILE[4], HOSTILE[5], HOSTILE[10], HOSTILE[16]])
def test_hostile_archives_are_refused_and_leave_nothing(
    case: tuple[str, Callable[[], bytes], int], asks: Ask, store: Path
) -> None:
    before = jobs_in(store)
    with pytest.raises(InvalidInput) as caught:
        asks("anna").evaluate(case[1]())
    assert caught.value.status == case[2]
    assert jobs_in(store) == before
    assert not list(store.parent.glob("escaped*"))


def test_a_list_of_contents_without_end_is_refused(asks: Ask, store: Path) -> None:
    before = jobs_in(store)
    with pytest.raises(InvalidInput, match="413"):
        asks("anna").evaluate(zip_of_many(100_000))
    assert jobs_in(store) == before


def jobs_in(store: Path) -> set[str]:
    return {path.name for path in (store / "jobs").glob("*")}


def test_manifests_of_the_allowed_folder_need_no_upload(
    evaluating: LiveServer, drawn: DrawnFilms
) -> None:
    key = {"x-api-key": key_of("bert")}
    (drawn.folder / "link.csv").symlink_to("/etc/passwd")
    with httpx.Client(base_url=evaluating.url, headers=key, timeout=60) as client:
        for path, status in (
            ("../manifest.csv", 403),
            ("/etc/passwd", 403),
            ("link.csv", 403),
            ("nowhere.csv", 400),
            ("000-0.png", 400),
            ("a\0b.csv", 400),
        ):
            assert client.post("/evaluations", json={"path": path}).status_code == status, path
        assert client.post("/evaluations", json={"folder": "x"}).status_code == 400
        asked = client.post("/evaluations", json={"path": "manifest.csv"})
        assert asked.status_code == 202
        assert asked.headers["location"] == f"evaluations/{asked.json()['id']}"
        assert not asked.json()["uploaded"]
        ended = client.post(f"{asked.headers['location']}/cancel").json()
        assert ended["state"] == "cancelled"
        with client.stream("GET", f"{asked.headers['location']}/events") as events:
            lines = [line for line in events.iter_lines() if line]
        assert lines[0] == "event: end"
        assert json.loads(lines[1].removeprefix("data: "))["state"] == "cancelled"
        assert client.delete(asked.headers["location"]).status_code == 204
        assert client.get(asked.headers["location"]).status_code == 404


def test_the_client_names_films_that_lie_on_the_server(
    evaluating: LiveServer, drawn: DrawnFilms
) -> None:
    with PacxClient(evaluating.url, api_key=key_of("bert")) as client:
        asked = client.evaluate(OnServer("manifest.csv"), labels=["opacity"], most_films=3)
        client.delete_evaluation(asked.id)
        with pytest.raises(InvalidInput):
            client.evaluate(OnServer("nowhere.csv"))
        with pytest.raises(InvalidInput, match="films"):
            client.evaluate(drawn.folder, most_films=0)


def test_bodies_that_are_no_archive_are_refused(evaluating: LiveServer) -> None:
    headers = {"x-api-key": key_of("anna")}
    with httpx.Client(base_url=evaluating.url, headers=headers, timeout=60) as client:
        for content, kind, status in (
            (b"", "application/zip", 400),
            (b"x", "text/plain", 415),
            (b"x", "multipart/form-data", 400),
            (b"--b--", "multipart/form-data; boundary=b", 400),
            (b"--b\r\nbroken", "multipart/form-data; boundary=b", 400),
            (HALF_FORM, "multipart/form-data; boundary=b", 400),
            (b"{", "application/json", 400),
        ):
            answer = client.post("/evaluations", content=content, headers={"content-type": kind})
            assert answer.status_code == status, (content, kind)
            assert answer.headers["content-type"] == "application/problem+json"
        two = [("file", b"x"), ("file", b"y")]
        assert client.post("/evaluations", files=two).status_code == 400
        for query in ("protocol=magic", "replicates=1", "seed=-1"):
            assert client.post(f"/evaluations?{query}", files=two[:1]).status_code == 422


def test_metrics_count_how_evaluations_end(done: Evaluation, evaluating: LiveServer) -> None:
    text = httpx.get(f"{evaluating.url}/metrics").text
    assert 'pacx_evaluations_total{outcome="succeeded"}' in text
    assert "pacx_evaluations_running" in text
    assert "anna" not in text


def test_a_caller_has_so_many_at_once(asks: Ask, drawn: DrawnFilms) -> None:
    client = asks("bert")
    archive = zip_of({"manifest.csv": b"path,opacity\n"})
    names: list[str] = []

    def ask_for_many() -> None:
        for _ in range(1000):
            names.append(client.evaluate(archive).id)

    try:
        with pytest.raises(Overloaded, match="quota_exceeded"):
            ask_for_many()
    finally:
        for name in names:
            client.delete_evaluation(name)
    deadline = time.monotonic() + 60
    while client.evaluations() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert client.evaluations() == ()
