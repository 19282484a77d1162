"""The audit log on a disk that is full: nobody waits for it, and what is lost is said."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from tests.server.conftest import Launch


def test_a_full_disk_costs_lines_and_no_request(launch: Launch) -> None:
    server = launch(audit_log="/dev/full")
    assert httpx.get(f"{server.url}/info").is_success
    server.signal(signal.SIGTERM)
    assert server.process.wait(timeout=40) == 0
    entries = [json.loads(line) for line in server.text().splitlines() if line.startswith("{")]
    events = [entry["event"] for entry in entries if entry.get("route") == "/info"]
    assert events == ["a line of the audit log is lost", "request"]
    assert "exception" not in set().union(*entries)


FULL_FOR_A_WHILE = """
import asyncio, resource, sys
from pathlib import Path
from pacx_server.audit import AuditLog
from pacx_server.context import RequestContext

async def story(path):
    audit = AuditLog(path, None)
    def ask(name):
        audit.write("/route", RequestContext(request_id=name, trace_id=None), 200)
    ask("first")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, hard))
    ask("lost")
    ask("lost too")
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    ask("last")
    audit.close()

asyncio.run(story(Path(sys.argv[1])))
"""


def test_lines_are_whole_again_once_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    program = [sys.executable, "-c", FULL_FOR_A_WHILE, str(path)]
    told = subprocess.run(program, capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.count("a line of the audit log is lost") == 2
    first, torn, last = path.read_text().splitlines()
    assert [json.loads(line)["request_id"] for line in (first, last)] == ["first", "last"]
    assert len(torn) == 20
