"""The reader's rows of faults.md through HTTP: the same code, and nothing else is harmed."""

from __future__ import annotations

import httpx
import psutil
import pytest

from pacx.errors import InputError
from tests.abuse import flood
from tests.hostile_files import FAULTS, Fault
from tests.live_server import LiveServer
from tests.server.test_problems import check


def statuses(root: type[InputError] = InputError) -> dict[str, int]:
    known = {root.code: root.status}
    for child in root.__subclasses__():
        known |= statuses(child)
    return known


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.row}-{fault.name}")
def test_a_bad_file_gets_its_code(http: httpx.Client, fault: Fault) -> None:
    answer = http.post("/predict", files={"file": fault.build()})
    code = answer.json()["code"]
    assert code in fault.codes
    check(answer, statuses()[code], code)


def test_bad_files_leave_nothing_behind(
    http: httpx.Client, tiny_server: LiveServer, phantom_dicom: bytes
) -> None:
    outcome = flood(http, tiny_server, 200)
    assert outcome.passed, f"memory grew by {outcome.rss_mib:.1f} MiB, or descriptors leaked"
    assert http.post("/predict", files={"file": phantom_dicom}).is_success
    assert psutil.Process(tiny_server.process.pid).num_threads() < 200
