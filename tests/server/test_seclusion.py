"""Processes that may not reach a network."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    platform.system() != "Linux" or platform.machine() not in {"x86_64", "aarch64"},
    reason="filters of system calls are the Linux kernel's, written for two processors",
)

PROBE = """
import socket
from pacx_server.seclusion import forbid_sockets
left, right = socket.socketpair()
assert forbid_sockets()
left.sendall(b"open ones work")
assert right.recv(100) == b"open ones work"
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
    try:
        socket.socket(family)
    except PermissionError:
        continue
    raise SystemExit("a socket was opened")
print(open("/proc/self/status").read())
"""


def test_no_socket_can_be_opened_and_open_ones_go_on_working() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Seccomp:\t2" in done.stdout
