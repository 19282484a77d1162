"""Who may use the processors of a server."""

from __future__ import annotations

import subprocess
import sys

PROBE = """
import numpy
from threadpoolctl import threadpool_info
from pacx_server.commands import leave_processors_to_engine
def threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
assert threads(), "numpy's library of matrix products is not known"
leave_processors_to_engine()
assert threads() == {1}, threads()
"""


def test_matrix_products_leave_the_processors_to_the_engine() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
