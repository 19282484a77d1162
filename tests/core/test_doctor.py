"""`pacx doctor` names the decoder of every transfer syntax."""

import os
import subprocess
import sys

from pacx.reading import available_decoders


def test_every_transfer_syntax_is_listed_with_its_decoder() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "pacx", "doctor"],
        capture_output=True,
        check=True,
        env=os.environ | {"COLUMNS": "200"},
        text=True,
    )
    lines = run.stdout.splitlines()
    for decoder in available_decoders():
        assert any(decoder.name in line and decoder.library in line for line in lines), decoder
