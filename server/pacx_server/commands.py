"""``pacx serve``."""

from __future__ import annotations

import asyncio
import errno
import math
import os
import signal
import socket
import ssl
from collections.abc import Coroutine
from difflib import get_close_matches
from types import FrameType
from typing import Annotated, Any

import structlog
import typer
import uvicorn
from pydantic import ValidationError
from threadpoolctl import threadpool_limits

from pacx.bundle import open_bundle, resolve
from pacx.engine_options import DEVICE, ENGINE
from pacx.errors import PacxError, SettingsError
from pacx_server import logs
from pacx_server.app import create_app
from pacx_server.heads import bounded_connections
from pacx_server.service import Service
from pacx_server.settings import Settings

KEEP_ALIVE_S = 75
STARVED_EVERY_S = 60.0

log = structlog.get_logger("pacx.server")


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 picks one.")] = None,
    bundle: Annotated[
        list[str] | None, typer.Option(help="Name or folder of a bundle; may be repeated.")
    ] = None,
    engine: Annotated[str | None, ENGINE] = None,
    device: Annotated[str | None, DEVICE] = None,
) -> None:
    """Start the inference server; every other setting is a PACX_* variable or in pacx.toml."""
    # Until there is something to reload; without a handler the signal would end the process.
    signal.signal(signal.SIGHUP, lambda number, frame: None)  # noqa: ARG005
    settings = _settings(host=host, port=port, bundles=bundle or None, engine=engine, device=device)
    settings.check_exposure()
    _check_address(settings)
    _check_tls(settings)
    for source in settings.bundles:
        _check_bundle(source)
    logs.configure(settings)
    _warn_of_misspelt()
    leave_processors_to_engine()
    server = _Server(settings)
    server.run()
    if server.failure is not None:
        raise server.failure


def leave_processors_to_engine() -> None:
    """Let numpy's matrix products use one thread, in this process, for good.

    After every product OpenBLAS's threads spin for a while, in case of another; here they take
    the processors from the engine, which then needs almost twice the time.
    """
    threadpool_limits(limits=1, user_api="blas")


class _Server(uvicorn.Server):
    """Uvicorn, but SIGTERM drains before it closes, and SIGHUP reloads the models."""

    def __init__(self, settings: Settings) -> None:
        self.failure: PacxError | None = None
        app = create_app(settings, self._fail)
        self._service: Service = app.state.service
        self._stopping: asyncio.Task[None] | None = None
        self._chores: set[asyncio.Task[None]] = set()
        self._starved_at = -math.inf
        super().__init__(
            uvicorn.Config(
                app,
                http=bounded_connections(
                    settings.header_timeout_s,
                    settings.send_timeout_s,
                    self._service.telemetry.refuse,
                ),
                host=settings.host,
                port=settings.port,
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="on",
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=5,
                ssl_certfile=settings.tls_certificate,
                ssl_keyfile=settings.tls_key,
            )
        )

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Listen, then say where once the models answer."""
        del sockets
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGHUP, self._reload)
        self._loop.set_exception_handler(self._on_loop_error)
        await super().startup()
        self._service.evaluations.url = self._own_url()
        self._spawn(self._announce())

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain on the first signal, stop waiting on the second."""
        del sig, frame
        self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        if self._stopping is not None:
            self.should_exit = True
            return
        self._stopping = self._loop.create_task(self._drain())

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(self._service.settings.drain_s):
                await self._service.drain()
        except TimeoutError:
            pass
        self.should_exit = True

    def _reload(self) -> None:
        self._spawn(self._service.catalogue.reload_all())

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Say once in a while that descriptors are used up, which asyncio does at every attempt."""
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)):
            loop.default_exception_handler(context)
        elif loop.time() > self._starved_at + STARVED_EVERY_S:
            self._starved_at = loop.time()
            log.error("no descriptor is left for further connections; see the limit on open files")

    async def _announce(self) -> None:
        await self._service.settled.wait()
        if self._service.state == "ready":
            typer.echo(f"PaCX viewer: {self._scheme}://{self._address()}/")

    @property
    def _scheme(self) -> str:
        return "https" if self._service.settings.encrypted else "http"

    def _own_url(self) -> str | None:
        """Where a process on this machine reaches the server; None where it does not listen."""
        if not getattr(self, "servers", None):
            return None
        port = self.servers[0].sockets[0].getsockname()[1]
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self._service.settings.host)  # noqa: S104 - no binding
        return f"{self._scheme}://{host}:{port}" if host else f"{self._scheme}://{self._address()}"

    def _address(self) -> str:
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def _fail(self, error: PacxError) -> None:
        self.failure = error
        self.should_exit = True

    def _spawn(self, chore: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(chore)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)


def _settings(**arguments: object) -> Settings:
    given = {name: value for name, value in arguments.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"PACX_{where.upper()}: {reason}") from error
    except ValueError as error:  # of tomllib, or of bytes that are no text
        raise SettingsError(f"pacx.toml cannot be read: {error}.") from error


def _warn_of_misspelt() -> None:
    """Say which variables are no settings but nearly are; others may be another program's."""
    known = [f"PACX_{name.upper()}" for name in Settings.model_fields]
    for name in sorted({name for name in os.environ if name.startswith("PACX_")} - {*known}):
        for meant in get_close_matches(name, known, n=1, cutoff=0.8):
            log.warning("a variable is no setting", variable=name, nearest=meant)


def _check_address(settings: Settings) -> None:
    """Refuse an address that cannot be listened on while a reason can still be given."""
    host, port = settings.host, settings.port
    try:
        for family, kind, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no name of a host"
        raise SettingsError(
            f"PACX_HOST and PACX_PORT: {host}, {port} cannot be listened on ({reason})."
        ) from error


def _check_tls(settings: Settings) -> None:
    """Refuse a certificate that cannot be used before anything listens."""
    if settings.tls_certificate is None:
        if settings.tls_key is not None:
            raise SettingsError("PACX_TLS_KEY is the key of a PACX_TLS_CERTIFICATE: set both.")
        return
    try:  # without a password, where ssl would ask for one on the terminal
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            settings.tls_certificate, settings.tls_key, password=""
        )
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            "PACX_TLS_CERTIFICATE and PACX_TLS_KEY are no certificate and its key, which may have "
            "no password."
        ) from error


def _check_bundle(source: str) -> None:
    """Refuse a damaged bundle before anything listens."""
    directory = resolve(source)
    try:
        open_bundle(directory)
    except PacxError as error:
        raise type(error)(f"{source}: {error.detail}") from error
