"""Nothing is written into the home folder, and nobody is told what PaCX is used for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CODE = """
import sys
from pathlib import Path
import pacx
print(len(pacx.load(engine="openvino").embed(Path(sys.argv[1]).read_bytes())))
print([name for name in sys.modules if name.startswith("openvino_telemetry.")])
"""


def test_openvino_keeps_to_itself(tmp_path: Path, phantom_dicom: bytes) -> None:
    home, film = tmp_path / "home", tmp_path / "film.dcm"
    home.mkdir()
    film.write_bytes(phantom_dicom)
    automated = ("CI", "TF_BUILD", "JENKINS_URL")  # where it would be silent anyway
    environment = {name: value for name, value in os.environ.items() if name not in automated}
    said = subprocess.run(
        [sys.executable, "-c", CODE, str(film)],
        env=environment | {"HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.split("\n")[:2] == ["1", "[]"]
    assert list(home.rglob("*")) == []
