"""The evaluations of a server: who asks for them, where they lie, and what runs them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import structlog
from starlette.requests import Request

from pacx.errors import (
    ExtraMissing,
    Forbidden,
    InsufficientStorage,
    MalformedRequest,
    NoReport,
    PacxError,
    UnknownEvaluation,
    is_full,
)
from pacx_server.evaluations.archive import ArchiveLimits
from pacx_server.evaluations.folder import JobFolder, default_directory
from pacx_server.evaluations.job import Job, Options, Source, State
from pacx_server.evaluations.lock import ServerLock
from pacx_server.evaluations.process import Target
from pacx_server.evaluations.receiving import receive_archive
from pacx_server.evaluations.runner import Runner, RunnerLimits
from pacx_server.evaluations.store import Bounds, Store
from pacx_server.evaluations.unpacking import Task, unpack_apart
from pacx_server.security import Authenticator, Principal
from pacx_server.settings import Settings
from pacx_server.telemetry import Telemetry

NEEDED = ("pacx_evaluation", "torch", "pandas", "sklearn", "scipy", "matplotlib", "jinja2")
CLIENT = "pacx_client"
LOOK_S = 2.0
T = TypeVar("T")

log = structlog.get_logger("pacx.evaluations")


class Evaluations:
    """Receives, runs and keeps evaluations; nothing is written before the first one comes.

    Args:
        settings: Where they lie and what bounds them.
        authenticator: Lets their processes in.
        telemetry: Where they are counted.
    """

    def __init__(
        self, settings: Settings, authenticator: Authenticator, telemetry: Telemetry
    ) -> None:
        self._settings = settings
        self._authenticator = authenticator
        self._telemetry = telemetry
        self._directory = settings.evaluation_directory
        self._lock: ServerLock | None = None
        self._store: Store | None = None
        self._runner: Runner | None = None
        self._running: asyncio.Task[None] | None = None
        self._opening: asyncio.Task[Store] | None = None
        self._opened = asyncio.Event()
        self.url: str | None = None
        self._watch()

    @property
    def directory(self) -> Path:
        """Where everything lies."""
        return self._directory or default_directory()

    def start(self) -> None:
        """Go on with what waits on the disk, where anything does."""
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._serve())

    async def stop(self) -> None:
        """Stop what runs; it waits on the disk for the next start."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    async def close(self) -> None:
        """Stop, and let go of the store."""
        await self.stop()
        if self._opening is not None:
            await asyncio.wait([self._opening])
        if self._store is not None and self._lock is not None:
            self._store.close()
            self._lock.release()

    async def receive(
        self, request: Request, caller: Principal, options: Options, manifest: str | None, size: int
    ) -> Job:
        """Take an archive of films and a manifest, and queue its evaluation.

        Args:
            request: Its body is the archive, or a form with it.
            caller: Who asks.
            options: What is asked.
            manifest: The table's name in the archive, None to find it.
            size: Declared length of the body, bytes; 0 where it is not declared.

        Raises:
            InputError: The archive cannot be used.
            ServiceError: There is no room, or not for this caller.
        """
        require_extra()
        async with self._place(caller, options) as (store, name):
            folder = self.folder(name)
            await receive_archive(
                request,
                folder.archive,
                declared=size,
                limit_bytes=self._settings.evaluation_upload_bytes,
                timeout_s=self._settings.evaluation_upload_s,
            )
            found = await unpack_apart(self._task(folder, manifest))
            folder.archive.unlink()
            source = Source(manifest=found, uploaded=True)
            job = await asyncio.to_thread(store.enqueue, name, source)
        self._nudge()
        return job

    async def refer(self, path: str, caller: Principal, options: Options) -> Job:
        """Queue the evaluation of a manifest that lies on this server.

        Args:
            path: Of the manifest, below the allowed root or absolute.
            caller: Who asks.
            options: What is asked.

        Raises:
            Forbidden: No root is allowed, or the path lies outside it.
            MalformedRequest: There is no manifest.
            ServiceError: There is no room, or not for this caller.
        """
        require_extra()
        source = Source(manifest=await asyncio.to_thread(self._below_root, path), uploaded=False)
        async with self._place(caller, options) as (store, name):
            job = await asyncio.to_thread(store.enqueue, name, source)
        self._nudge()
        return job

    @asynccontextmanager
    async def _place(self, caller: Principal, options: Options) -> AsyncIterator[tuple[Store, str]]:
        """A place in the queue with its folder; whatever raises inside gives both back."""
        store = await self._open()
        reserved = asyncio.ensure_future(
            asyncio.to_thread(store.receive, caller.name, options, self._bounds())
        )
        try:
            # A caller who leaves meanwhile must not take the name of his place along.
            name = await asyncio.shield(reserved)
            await asyncio.to_thread(self.folder(name).make)
            yield store, name
        except BaseException as error:
            await asyncio.shield(self._give_back(store, reserved))
            if isinstance(error, OSError):
                raise _no_place(error) from error
            raise

    async def _give_back(self, store: Store, reserved: asyncio.Future[str]) -> None:
        with suppress(PacxError):  # there was none to have
            name = await reserved
            await asyncio.to_thread(self.folder(name).delete)
            await asyncio.to_thread(store.remove, name)

    async def all(self, caller: Principal, limit: int) -> list[Job]:
        """The newest evaluations that a caller may see."""
        if not self._exists():
            return []
        return await self._ask(lambda store: store.all(_owner(caller), limit))

    async def get(self, name: str, caller: Principal) -> Job:
        """One evaluation.

        Raises:
            UnknownEvaluation: There is none of that name that this caller may see.
        """
        return await self._ask(lambda store: store.get(name, _owner(caller)))

    async def cancel(self, name: str, caller: Principal) -> Job:
        """End an evaluation that has not ended; raises as ``get`` does."""
        return await self._ask(lambda store: store.cancel(name, _owner(caller)))

    async def forget(self, name: str, caller: Principal) -> None:
        """Cancel an evaluation and delete what is left of it; raises as ``get`` does."""
        await self._ask(lambda store: store.forget(name, _owner(caller)))
        self._nudge()

    async def report(self, name: str, caller: Principal) -> JobFolder:
        """Where the report of an evaluation lies.

        Raises:
            UnknownEvaluation: There is none of that name that this caller may see.
            NoReport: It has not ended, or failed.
        """
        job = await self.get(name, caller)
        if job.state != "succeeded":
            raise NoReport(f"The evaluation is {job.state}.")
        return self.folder(name)

    def folder(self, name: str) -> JobFolder:
        """Where the files of an evaluation lie."""
        return JobFolder(self.directory / "jobs" / name)

    async def _ask(self, question: Callable[[Store], T]) -> T:
        if not self._exists():
            raise UnknownEvaluation("There are no evaluations yet.")
        return await asyncio.to_thread(question, await self._open())

    async def _open(self) -> Store:
        """The store, which is opened once; a caller who leaves meanwhile does not undo it."""
        if self._store is not None:
            return self._store
        if self._opening is None or self._opening.done():
            self._opening = asyncio.get_running_loop().create_task(self._open_store())
            self._opening.add_done_callback(_retrieve)
        return await asyncio.shield(self._opening)

    async def _open_store(self) -> Store:
        try:
            self._store = await asyncio.to_thread(self._make)
        except OSError as error:
            raise _no_place(error) from error
        except sqlite3.Error as error:
            raise InsufficientStorage("The store of evaluations is damaged.") from error
        self._opened.set()
        return self._store

    def _make(self) -> Store:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = ServerLock(self.directory / "servers")
        try:
            store = Store(self.directory / "evaluations.sqlite", lock.name)
        except BaseException:
            lock.release()
            raise
        self._lock = lock
        return store

    def _exists(self) -> bool:
        try:
            return self._store is not None or (self.directory / "evaluations.sqlite").exists()
        except InsufficientStorage:  # there is no place where any could be
            return False

    async def _serve(self) -> None:
        while True:
            try:
                await self._run_queue()
            except Exception:
                log.exception("evaluations cannot be run yet")
                await asyncio.sleep(LOOK_S)

    async def _run_queue(self) -> None:
        while not self._exists():  # another server of the folder may make it
            with suppress(TimeoutError):
                await asyncio.wait_for(self._opened.wait(), LOOK_S)
        store = await self._open()
        assert self._lock is not None  # noqa: S101 - for the type checker
        settings = self._settings
        self._runner = Runner(
            store=store,
            lock=self._lock,
            folder_of=self.folder,
            root=settings.evaluation_root,
            limits=RunnerLimits(
                workers=settings.evaluation_workers,
                urgency=settings.evaluation_urgency,
                deadline_s=settings.evaluation_deadline_s,
                retention_s=settings.evaluation_retention_s,
            ),
            admit=self._admit,
            on_end=lambda outcome: self._telemetry.evaluations.labels(outcome).inc(),
        )
        await self._runner.serve()

    def _nudge(self) -> None:
        if self._runner is not None:
            self._runner.nudge()

    @contextmanager
    def _admit(self, job: Job) -> Iterator[Target]:
        guest = Principal(
            name=f"evaluation:{job.owner}", scopes=frozenset({"predict"}), background=True
        )
        settings = self._settings
        own = self.url or f"http://{settings.host}:{settings.port}"
        with self._authenticator.guest(guest) as token:
            yield Target(
                url=settings.evaluation_url or own,
                token=token,
                name="server",
                certificate=settings.tls_certificate,
            )

    def _below_root(self, path: str) -> str:
        root = self._settings.evaluation_root
        if root is None:
            raise Forbidden("This server offers no folder to evaluate from; upload the films.")
        missing = MalformedRequest("There is no manifest, .csv or .parquet, at that path.")
        try:
            found = (root / path).resolve()
            there = found.is_file()
        except (OSError, ValueError, RuntimeError):  # no system has such a path
            raise missing from None
        if not found.is_relative_to(root.resolve()):
            raise Forbidden("The path lies outside the folder that this server offers.")
        if found.suffix not in (".csv", ".parquet") or not there:
            raise missing
        return str(found.relative_to(root.resolve()))

    def _task(self, folder: JobFolder, manifest: str | None) -> Task:
        settings = self._settings
        return Task(
            archive=folder.archive,
            folder=folder.upload,
            manifest=manifest,
            limits=ArchiveLimits(
                files=settings.evaluation_files,
                file_bytes=settings.max_file_bytes,
                total_bytes=settings.evaluation_unpacked_bytes,
            ),
        )

    def _bounds(self) -> Bounds:
        settings = self._settings
        return Bounds(
            all=settings.evaluation_queue, per_caller=settings.evaluation_queue_per_caller
        )

    def _watch(self) -> None:
        states: tuple[State, ...] = ("queued", "running")
        for state in states:
            self._telemetry.watch(
                f"pacx_evaluations_{state}",
                f"Evaluations in the store that are {state}.",
                partial(self._count, state),
            )

    def _count(self, state: State) -> int:
        return 0 if self._store is None else self._store.count(state)


def require_extra() -> None:
    """Refuse where evaluations cannot run.

    Raises:
        ExtraMissing: Says what is to be installed.
    """
    if any(find_spec(name) is None for name in NEEDED):
        raise ExtraMissing('Evaluations need another part: pip install "pacx[evaluation]".')
    if find_spec(CLIENT) is None:
        raise ExtraMissing("Evaluations need the Python client: pip install pacx-client.")


def _owner(caller: Principal) -> str | None:
    return None if "admin" in caller.scopes else caller.name


def _retrieve(opening: asyncio.Task[Store]) -> None:
    """Let an opening fail in silence where all who asked for it have left."""
    if not opening.cancelled():
        opening.exception()


def _no_place(error: OSError) -> PacxError:
    why = "is full" if is_full(error) else "cannot be written to"
    return InsufficientStorage(f"The disk {why} where evaluations are kept.")
