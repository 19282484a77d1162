"""What processes of evaluations may know of the server's environment: where programs are."""

from __future__ import annotations

import os

KEPT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def bare_environment() -> dict[str, str]:
    """The server's environment without keys, addresses of proxies, and whatever else is in it."""
    return {name: value for name, value in os.environ.items() if name in KEPT} | ONE_THREAD
