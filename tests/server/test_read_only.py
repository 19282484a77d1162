"""Row 50: no writable file system, no home, a user without rights."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.live_server import free_port, stop

MOUNTS = """
mount --make-rprivate / && mount -o remount,bind,ro / || exit 9
for folder in {folders}; do
  mount --bind "$folder" "$folder" && mount -o remount,bind,ro "$folder" || exit 9
done
touch /tmp/probe 2>/dev/null && exit 9
exec "$@"
"""


def may_unshare() -> bool:
    """Whether this user may make a mount namespace of his own."""
    if shutil.which("unshare") is None:
        return False
    attempt = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    return attempt.returncode == 0


def as_nobody() -> list[str]:
    """The command that takes all of root's rights away, where the system has user namespaces."""
    command = ["unshare", "--user", "--map-user=65534"]
    attempt = subprocess.run([*command, "true"], capture_output=True, check=False)
    return command if attempt.returncode == 0 else []


@pytest.mark.skipif(not may_unshare(), reason="needs the right to make a mount namespace")
def test_nothing_is_written_and_neither_home_nor_rights_are_needed(
    tiny: Path, phantom_dicom: bytes
) -> None:
    port = free_port()
    folders = " ".join(sorted({"/tmp", "/var/tmp", os.environ.get("TMPDIR", "/tmp")}))
    command = ["unshare", "--mount", "bash", "-c", MOUNTS.format(folders=folders), "bash"]
    process = subprocess.Popen(
        [*command, *as_nobody(), sys.executable, "-m", "pacx", "serve"],
        env={"PATH": os.environ["PATH"], "PACX_PORT": str(port), "PACX_BUNDLES": str(tiny)},
        cwd="/",
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            deadline = time.monotonic() + 120
            while not ready(client):
                assert process.poll() is None, "the server ended"
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert client.post("/predict", files={"file": phantom_dicom}).is_success
    finally:
        stop(process)


def ready(client: httpx.Client) -> bool:
    try:
        return client.get("/health/ready").is_success
    except httpx.ConnectError:
        return False
