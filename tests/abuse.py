"""Every row of the table of abuses, played against a real server: expected, got, ms, RSS.

``scripts/abuse`` runs it. Rows that need servers, keys or kills of their own are shown by tests,
which are run here one after the other.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import psutil
from pydicom import uid

from tests.dicom_files import ENCODERS, dicom_file
from tests.hostile_files import FAULTS, picture_file
from tests.live_server import LiveServer, running
from tests.phantom_dicom import chest_pixels, dicom_bytes
from tests.server.tiny_bundle import make_bundle

TESTS = Path(__file__).parent / "server"
RAW = {"content-type": "application/dicom"}
MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One line of the report."""

    row: int
    name: str
    expected: str
    got: str
    ms: float
    rss_mib: float

    @property
    def passed(self) -> bool:
        """Whether it was answered as the table says."""
        return self.got in self.expected.split(" or ")


Send = Callable[[httpx.Client], httpx.Response]


@dataclass(frozen=True, slots=True)
class Probe:
    """One request and its answer: ``200`` or the code of a problem."""

    row: int
    name: str
    expected: str
    send: Send


def upload(file: Callable[[], bytes]) -> Send:
    """Post one file as a form."""
    return lambda client: client.post("/predict", files={"file": file()})


def body(content: bytes, **headers: str) -> Send:
    """Post a raw body."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda client: client.post("/predict", content=content, headers=RAW | named)


def hostile() -> Iterator[Probe]:
    """The reader's rows, through HTTP."""
    for fault in FAULTS:
        yield Probe(fault.row, fault.name, " or ".join(fault.codes), upload(fault.build))


def welcome() -> Iterator[Probe]:
    """What must be read although it is unusual."""
    pixels = chest_pixels().astype(np.uint16)
    for syntax in (uid.DeflatedExplicitVRLittleEndian, uid.ExplicitVRBigEndian, *ENCODERS):
        row = 14 if syntax == uid.DeflatedExplicitVRLittleEndian else 18
        yield Probe(row, uid.UID(syntax).name, "200", upload(partial(encoded, pixels, syntax)))
    yield Probe(22, "PNG", "200", upload(picture_file))
    yield Probe(
        29, "MONOCHROME1", "200", upload(lambda: film(PhotometricInterpretation="MONOCHROME1"))
    )
    yield Probe(32, "window of 0", "200", upload(lambda: film(WindowWidth=0)))
    yield Probe(30, "10 bits, high bit 11", "200", upload(shifted))
    yield Probe(33, "padding", "200", upload(lambda: film(PixelPaddingValue=0)))
    yield Probe(35, "oblong pixels", "200", upload(lambda: film(PixelSpacing=[0.4, 0.8])))
    yield Probe(36, "a path as identifier", "200", upload(lambda: film(StudyID="../../etc/x")))
    yield Probe(37, "a name of 60 kB", "200", upload(lambda: film(PatientName="A" * 60_000)))


def film(**elements: object) -> bytes:
    """A phantom with other elements."""
    return dicom_bytes(chest_pixels(), **elements)


def shifted() -> bytes:
    """A phantom whose stored bits do not begin at the lowest one."""
    return dicom_file(chest_pixels() >> np.uint16(2), bits_stored=10, high_bit=11)


def encoded(pixels: np.typing.NDArray[np.uint16], syntax: uid.UID) -> bytes:
    """A phantom in a transfer syntax."""
    return dicom_file(pixels, syntax=syntax, bits_stored=12)


PROBES = (
    Probe(1, "no body", "empty_body", body(b"")),
    Probe(
        1,
        "form without a file",
        "empty_body",
        body(b"--b--", content_type="multipart/form-data; boundary=b"),
    ),
    Probe(1, "an empty file", "empty_body", upload(bytes)),
    Probe(2, "no boundary", "malformed_request", body(b"x", content_type="multipart/form-data")),
    Probe(
        2,
        "two files",
        "malformed_request",
        lambda c: c.post("/predict", files=[("file", b"x"), ("file", b"y")]),
    ),
    Probe(
        2,
        "a form that breaks off",
        "malformed_request",
        body(b"--b\r\ncontent-disp", content_type="multipart/form-data; boundary=b"),
    ),
    Probe(3, "70 MB, declared", "too_large", body(bytes(70_000_000))),
    Probe(
        4,
        "70 MB, chunked",
        "too_large",
        lambda c: c.post("/predict", content=chunks(), headers=RAW),
    ),
    Probe(5, "gzip", "unsupported_media_type", body(b"\x1f\x8b", content_encoding="gzip")),
    Probe(8, "text", "unsupported_media_type", body(b"x", content_type="text/plain")),
    Probe(
        9,
        "a PNG named .dcm",
        "200",
        lambda c: c.post("/predict", files={"file": ("a.dcm", picture_file())}),
    ),
    Probe(39, "wrong path", "not_found", lambda c: c.get("/nowhere")),
    Probe(39, "wrong method", "method_not_allowed", lambda c: c.put("/predict")),
    Probe(39, "OPTIONS", "method_not_allowed", lambda c: c.options("/predict")),
    Probe(39, "HEAD, which has no body", "405", lambda c: c.head("/predict")),
)

PROOFS = (
    (6, "stalled body, slow head", "test_problems.py test_heads.py", "stalled or head"),
    (7, "client leaves", "test_connection.py", "test_"),
    (38, "keys, tokens, scopes", "test_security.py", "lets_in or anything_else or scopes or token"),
    (40, "queue full, quota", "test_load.py test_security.py", "full_server or quota"),
    (41, "deadline in the queue", "test_load.py", "deadline"),
    (42, "poison", "test_lifecycle.py test_batching.py", "poison or wrong_number or foreign"),
    (
        43,
        "killed workers",
        "test_lifecycle.py test_decoding.py test_batching.py",
        "killed or crash",
    ),
    (44, "device that is not there", "test_lifecycle.py", "settings_that_cannot"),
    (45, "broken bundles", "test_lifecycle.py", "damaged_bundle or replay or no_bundle"),
    (46, "before the models are loaded", "test_lifecycle.py", "before_the_models"),
    (47, "SIGTERM with 100 in flight", "test_lifecycle.py", "sigterm"),
    (49, "alone and in a batch", "test_predict.py", "alone_and_in_a_batch"),
    (50, "read-only, without a home", "test_read_only.py", "test_"),
    (51, "disk full", "evaluations/test_survival.py", "full_disk"),
    (53, "killed while evaluating", "evaluations/test_survival.py", "killed or stopped"),
    (
        55,
        "archives with tricks, bombs",
        "evaluations/test_archive.py evaluations/test_evaluations.py",
        "tricks or bounds or damage or hostile or without_end",
    ),
    (52, "schemathesis", "test_openapi.py", "outside"),
)


def chunks() -> Iterator[bytes]:
    """A body whose length is not declared."""
    for _ in range(70):
        yield bytes(1_000_000)


def play(probe: Probe, client: httpx.Client, server: LiveServer) -> Outcome:
    """Send one probe and look at what it cost."""
    before, started = rss_bytes(server), time.perf_counter()
    answer = probe.send(client)
    ms = (time.perf_counter() - started) * 1000
    grown = (rss_bytes(server) - before) / MEBIBYTE
    return Outcome(
        row=probe.row,
        name=probe.name,
        expected=probe.expected,
        got=outcome(answer),
        ms=ms,
        rss_mib=grown,
    )


def outcome(answer: httpx.Response) -> str:
    """``200``, the problem's code, or the status where the answer has no body."""
    if answer.is_success:
        return "200"
    return str(answer.json()["code"]) if answer.content else str(answer.status_code)


def rss_bytes(server: LiveServer) -> int:
    """Resident memory of the server and all its processes."""
    root = psutil.Process(server.process.pid)
    total = 0
    for process in (root, *root.children(recursive=True)):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def flood(client: httpx.Client, server: LiveServer, count: int) -> Outcome:
    """Row 48: bad files in a row, after a tenth of them has warmed everything up."""
    files = [fault.build() for fault in FAULTS if len(fault.build()) < 200_000]
    for number in range(count // 10):
        client.post("/predict", files={"file": files[number % len(files)]})
    process = psutil.Process(server.process.pid)
    before, descriptors, started = rss_bytes(server), process.num_fds(), time.perf_counter()
    for number in range(count):
        client.post("/predict", files={"file": files[number % len(files)]})
    grown = rss_bytes(server) - before
    leaked = process.num_fds() - descriptors
    flat = grown < 0.05 * before and leaked <= 3
    return Outcome(
        row=48,
        name=f"{count} bad files",
        expected="flat",
        got="flat" if flat else f"{leaked} more descriptors",
        ms=(time.perf_counter() - started) * 1000,
        rss_mib=grown / MEBIBYTE,
    )


def prove(row: int, name: str, files: str, keyword: str) -> Outcome:
    """Run the tests that show a row."""
    paths = [str(TESTS / file) for file in files.split()]
    started = time.perf_counter()
    command = [sys.executable, "-m", "pytest", "-q", "-x", *paths, "-k", keyword]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    ms = (time.perf_counter() - started) * 1000
    shown = " passed" in ended.stdout  # and not only skipped
    got = "failed" if ended.returncode else "passed" if shown else "not shown here"
    return Outcome(row=row, name=name, expected="passed", got=got, ms=ms, rss_mib=0.0)


def outcomes(folder: Path, count: int) -> Iterator[Outcome]:
    """Play everything."""
    bundle = make_bundle(folder / "tiny").directory
    with (
        running(folder, {"PACX_BUNDLES": str(bundle)}) as server,
        httpx.Client(base_url=server.url, timeout=120) as client,
    ):
        client.post("/predict", files={"file": film()})
        for probe in sorted((*PROBES, *hostile(), *welcome()), key=lambda probe: probe.row):
            yield play(probe, client, server)
        yield flood(client, server, count)
    for proof in PROOFS:
        yield prove(*proof)


def main() -> int:
    """Print one line for each row; the exit code tells whether all are as the table says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bad-files", type=int, default=10_000, help="of row 48")
    failed = 0
    arguments = parser.parse_args()
    line = "{:>3}  {:<32} {:<42} {:<28} {:>9} {:>9}"
    sys.stdout.write(line.format("row", "case", "expected", "got", "ms", "RSS MiB") + "\n")
    with tempfile.TemporaryDirectory() as folder:
        for outcome in outcomes(Path(folder), arguments.bad_files):
            failed += not outcome.passed
            mark = "" if outcome.passed else "  <-- not as expected"
            text = line.format(
                outcome.row,
                outcome.name[:32],
                outcome.expected,
                outcome.got,
                f"{outcome.ms:.1f}",
                f"{outcome.rss_mib:+.1f}",
            )
            sys.stdout.write(text + mark + "\n")
            sys.stdout.flush()
    sys.stdout.write(f"{failed} not as expected\n")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
