"""The README's examples do what they say, on a real server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.tables import REPOSITORY, code_blocks

ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture
def desk(tmp_path: Path, phantom_dicom: bytes) -> Path:
    """A folder that holds the radiograph of the examples."""
    (tmp_path / "radiograph.dcm").write_bytes(phantom_dicom)
    return tmp_path


def _run(command: list[str], desk: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=desk, env=os.environ | {"PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command[-1]}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("block", code_blocks("README.md", "python"))
def test_python_examples_run(block: str, desk: Path, server_url: str) -> None:
    assert _run([sys.executable, "-c", block.replace(ADDRESS, server_url)], desk).strip()


def test_shell_examples_run_and_write_what_they_name(desk: Path, server_url: str) -> None:
    for block in code_blocks("README.md", "bash"):
        script = block.replace(ADDRESS, server_url).replace("curl ", "curl -sS --fail-with-body ")
        assert _run(["bash", "-ec", script], desk).strip()
    assert (desk / "overlay.png").read_bytes().startswith(b"\x89PNG")
    assert (desk / "explained.png").read_bytes().startswith(b"\x89PNG")
    assert (desk / "embedding.npy").read_bytes().startswith(b"\x93NUMPY")
    assert (desk / "embeddings.npy").read_bytes().startswith(b"\x93NUMPY")


def test_files_that_the_readme_links_to_are_there() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    targets = [part.split(")")[0] for part in text.split("](")[1:]]
    local = [target for target in targets if not target.startswith("http")]
    assert local
    assert [target for target in local if not (REPOSITORY / target).exists()] == []
