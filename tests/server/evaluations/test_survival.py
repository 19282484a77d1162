"""Servers that die, disks that fill, parts that are missing; faults.md rows 51 and 53."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from pacx_client import NotInstalled, PacxClient, ServerFault
from tests.evaluation.conftest import DrawnFilms
from tests.live_server import LiveServer, running
from tests.server.evaluations.archives import zip_of
from tests.server.evaluations.conftest import key_of, settings_of

PATIENCE_S = 300


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that must happen."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


def anna(stack: ExitStack, server: LiveServer) -> PacxClient:
    return stack.enter_context(PacxClient(server.url, api_key=key_of("anna"), retries=0))


def evaluating_processes(server: LiveServer) -> list[psutil.Process]:
    """The processes of evaluations that a server runs."""
    found = []
    for child in psutil.Process(server.process.pid).children():
        with suppress(psutil.Error):  # it has just ended
            if "evaluate" in child.cmdline():
                found.append(child)
    return found


def evaluating(*servers: LiveServer) -> tuple[LiveServer, psutil.Process]:
    """The server that runs an evaluation, once one does, and its process."""
    found: list[tuple[LiveServer, psutil.Process]] = []

    def looks() -> bool:
        # A process that becomes another program has no command line for a moment.
        found[:] = [(server, its) for server in servers for its in evaluating_processes(server)]
        return bool(found)

    until(looks)
    return found[0]


@contextmanager
def busy_on(processor: int) -> Iterator[psutil.Process]:
    """A process that wants one processor all the time."""
    process = psutil.Popen([sys.executable, "-c", "while True: pass"])
    try:
        process.cpu_affinity([processor])
        yield process
    finally:
        process.kill()
        process.wait()


def gives_way_to_everybody(process: psutil.Process) -> bool:
    idle = sys.platform != "linux" or os.sched_getscheduler(process.pid) == os.SCHED_IDLE
    return idle and process.nice() == 19


def test_a_killed_server_leaves_its_evaluation_to_another(
    tiny: Path, drawn: DrawnFilms, tmp_path: Path
) -> None:
    """Two servers share a store; the one that runs an evaluation is killed, then the other too."""
    settings = settings_of(tiny, tmp_path / "store", urgency="low")
    with ExitStack() as stack:
        servers = []
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            servers.append(stack.enter_context(running(tmp_path / name, settings)))
        job = anna(stack, servers[0]).evaluate(drawn.folder, labels=["opacity"], replicates=100)
        first, process = evaluating(*servers)
        (other,) = (server for server in servers if server is not first)
        until(lambda: process.nice() == 10)
        first.signal(signal.SIGKILL)
        until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
        client = anna(stack, other)
        ended = client.wait(job.id, poll_s=0.2)
        assert (ended.state, ended.attempts) == ("succeeded", 2)
        report = client.evaluation_report(job.id)

        other.signal(signal.SIGKILL)
        other.process.wait()
        third = anna(stack, stack.enter_context(running(tmp_path, settings)))
        assert third.evaluation(job.id) == ended
        assert third.evaluation_report(job.id) == report


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no idle class")
def test_an_evaluation_that_others_leave_nothing_goes_on_with_more_urgency(
    tiny: Path, drawn: DrawnFilms, tmp_path: Path
) -> None:
    with running(tmp_path, settings_of(tiny, tmp_path / "store")) as server, ExitStack() as stack:
        client = anna(stack, server)
        processor = min(os.sched_getaffinity(0))
        job = client.evaluate(drawn.folder, labels=["opacity"], replicates=100)
        with busy_on(processor):
            _, first = evaluating(server)
            first.cpu_affinity([processor])
            until(lambda: gives_way_to_everybody(first))
            until(lambda: not first.is_running() or first.status() == psutil.STATUS_ZOMBIE)
            _, second = evaluating(server)
            until(lambda: second.nice() == 10)
            assert os.sched_getscheduler(second.pid) == os.SCHED_OTHER
        ended = client.wait(job.id, poll_s=0.2)
        assert (ended.state, ended.attempts) == ("succeeded", 1)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no idle class")
def test_evaluations_begin_with_the_urgency_that_is_set(
    tiny: Path, drawn: DrawnFilms, tmp_path: Path
) -> None:
    settings = settings_of(tiny, tmp_path / "store", urgency="low")
    with running(tmp_path, settings) as server, ExitStack() as stack:
        anna(stack, server).evaluate(drawn.folder, labels=["opacity"], replicates=100)
        _, process = evaluating(server)
        until(lambda: process.nice() == 10)
        assert os.sched_getscheduler(process.pid) == os.SCHED_OTHER


def test_a_server_that_is_stopped_takes_up_its_work_again(
    tiny: Path, drawn: DrawnFilms, tmp_path: Path
) -> None:
    settings = settings_of(tiny, tmp_path / "store")
    with running(tmp_path, settings) as server, ExitStack() as stack:
        client = anna(stack, server)
        job = client.evaluate(drawn.folder, labels=["opacity"], replicates=100)
        until(lambda: client.evaluation(job.id).state == "running")
        server.signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_S) == 0
    idle = settings | {"PACX_EVALUATION_WORKERS": "0"}
    with running(tmp_path, idle) as server, ExitStack() as stack:
        client = anna(stack, server)
        waiting = client.evaluation(job.id)
        assert (waiting.state, waiting.attempts) == ("queued", 0)
        client.delete_evaluation(job.id)
        until(lambda: not list((tmp_path / "store" / "jobs").iterdir()))


def test_a_full_disk_is_said_to_be_full_and_may_be_emptied(tiny: Path, tmp_path: Path) -> None:
    """A limit on the length of files stands for the disk: it can be lifted under a live server."""
    archive = zip_of({"manifest.csv": b"path,opacity\n", "a.png": bytes(2**20)})
    films = tmp_path / "films"
    films.mkdir()
    (films / "manifest.csv").write_bytes(b"path\n")
    (films / "noise.png").write_bytes(os.urandom(2**21))
    settings = settings_of(tiny, tmp_path / "store", workers=0)
    with running(tmp_path, settings) as server, ExitStack() as stack:
        client = anna(stack, server)
        before = client.evaluate(archive)
        process = psutil.Process(server.process.pid)
        soft, hard = process.rlimit(resource.RLIMIT_FSIZE)
        for limit in (2**19, 4096):
            process.rlimit(resource.RLIMIT_FSIZE, (limit, hard))
            for upload in (films, archive):
                with pytest.raises(ServerFault) as caught:
                    client.evaluate(upload)
                assert (caught.value.status, caught.value.code) == (507, "insufficient_storage")
            assert len(list((tmp_path / "store" / "jobs").iterdir())) == 1
        process.rlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert client.evaluate(films).state == "queued"
        assert client.evaluation(before.id) == before


def test_without_the_extra_the_line_that_installs_it_is_told(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['matplotlib'] = None\n")
    settings = settings_of(tiny, tmp_path / "store") | {"PYTHONPATH": str(tmp_path)}
    with running(tmp_path, settings) as server, ExitStack() as stack:
        client = anna(stack, server)
        with pytest.raises(NotInstalled, match=r'pip install "pacx\[evaluation\]"'):
            client.evaluate(zip_of({"manifest.csv": b"path\n"}))
        assert client.evaluations() == ()
        assert not (tmp_path / "store").exists()
