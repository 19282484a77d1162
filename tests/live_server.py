"""A real server process on a free port, as users start it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_TIMEOUT_S = 120
CONFIGURING = ("PACX_", "AIP_", "OTEL_")


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveServer:
    """A running server.

    Attributes:
        url: Its address.
        process: Of ``pacx serve``.
        log: What it writes.
    """

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    def text(self) -> str:
        """All that it has written."""
        return self.log.read_text(encoding="utf-8")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server's process."""
        self.process.send_signal(number)


@contextmanager
def running(
    folder: Path,
    environment: Mapping[str, str],
    *,
    wait: bool = True,
    program: Sequence[str] = ("-m", "pacx"),
    port_variable: str = "PACX_PORT",
) -> Iterator[LiveServer]:
    """Start ``pacx serve``, and stop it in the end.

    Args:
        folder: For its log; also its working directory.
        environment: Settings, on top of the caller's environment without what configures servers.
        wait: Until it is ready.
        program: What Python runs; :func:`lacking` gives others.
        port_variable: How the server is told its port.
    """
    port = free_port()
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(CONFIGURING)}
    log = folder / "server.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, *program, "serve"],
            env=inherited | {port_variable: str(port)} | dict(environment),
            stdout=sink,
            stderr=sink,
            cwd=folder,
        )
    server = LiveServer(url=f"http://127.0.0.1:{port}", process=process, log=log)
    try:
        if wait:
            wait_until_ready(server)
        yield server
    finally:
        stop(process)


def lacking(module: str) -> tuple[str, str]:
    """The program ``pacx`` where a module is not installed."""
    return "-c", f"import sys; sys.modules[{module!r}] = None; from pacx.cli import main; main()"


def limited(**limits: int) -> tuple[str, str]:
    """The program ``pacx`` under limits of the system, by their names in :mod:`resource`."""
    calls = [
        f"resource.setrlimit(resource.{name}, ({most}, {most}))" for name, most in limits.items()
    ]
    return "-c", "; ".join(("import resource", *calls, "from pacx.cli import main", "main()"))


def stop(process: subprocess.Popen[bytes]) -> int:
    """Stop a server gently, and hard where that does not help; gives its exit code."""
    process.terminate()
    try:
        return process.wait(timeout=40)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(timeout=10)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(server: LiveServer) -> None:
    """Wait for the first answer that says ready.

    Raises:
        AssertionError: The server ended, or it took too long; with its log.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            with urllib.request.urlopen(f"{server.url}/health/ready"):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise AssertionError(f"the server did not become ready:\n{server.text()}")
