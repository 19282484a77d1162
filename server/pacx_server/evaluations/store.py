"""The queue on disk: one SQLite file that several servers may share.

Every change is one transaction that says in its condition what it takes for granted, so that two
servers never run one job, and a job that was cancelled never ends otherwise.
"""

from __future__ import annotations

import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pacx.errors import InsufficientStorage, QueueFull, QuotaExceeded, UnknownEvaluation
from pacx_server.evaluations.job import Failure, Job, Options, Progress, Source, State

MOST_ATTEMPTS = 3
RETRY_AFTER_S = 30
_BUSY_S = 30.0
_SCHEMA = """CREATE TABLE IF NOT EXISTS job (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, state TEXT NOT NULL, options TEXT NOT NULL,
    source TEXT NOT NULL DEFAULT '', created REAL NOT NULL, started REAL, ended REAL,
    attempts INTEGER NOT NULL DEFAULT 0, progress TEXT, failure TEXT,
    server TEXT, forgotten INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS visible AS
    SELECT id, owner, state, options, source, created, started, ended, attempts, progress, failure
    FROM job WHERE state != 'receiving' AND NOT forgotten;"""
_RELEASE = """UPDATE job SET server = NULL, attempts = attempts - (state = 'running'),
    state = CASE state WHEN 'running' THEN 'queued' ELSE state END WHERE server = ?"""
_RECEIVING = "receiving"
_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_TRUNCATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How many evaluations may wait or run at once, of all callers and of one."""

    all: int
    per_caller: int


class Store:
    """All evaluations; every method is short, blocks, and may be called from any thread.

    Args:
        path: The SQLite file; it is made where missing.
        server: Name of the server on whose behalf jobs are run.
    """

    def __init__(self, path: Path, server: str) -> None:
        self._server = server
        self._turn = threading.RLock()
        self._database = sqlite3.connect(
            path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
        self._database.execute("PRAGMA journal_mode = WAL")
        with self._turn, _room():
            self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self._turn:
            self._database.close()

    def receive(self, owner: str, options: Options, bounds: Bounds) -> str:
        """Reserve a place for an evaluation whose films are still on their way; gives its name.

        Raises:
            QuotaExceeded: This caller has as many as he may have.
            QueueFull: All callers together have.
        """
        name, now = uuid.uuid4().hex, time.time()
        with self._transaction() as database:
            everybody, mine = database.execute(
                "SELECT count(*), count(*) FILTER (WHERE owner = ?) FROM job"
                " WHERE state IN ('receiving', 'queued', 'running')",
                (owner,),
            ).fetchone()
            _check_bounds(everybody, mine, bounds)
            database.execute(
                "INSERT INTO job (id, owner, state, options, created, server)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (name, owner, _RECEIVING, options.model_dump_json(), now, self._server),
            )
        return name

    def enqueue(self, name: str, source: Source) -> Job:
        """Let an evaluation wait for its turn, now that its films are there."""
        self._change(
            "UPDATE job SET state = 'queued', source = ?, server = NULL WHERE id = ?",
            source.model_dump_json(),
            name,
        )
        return self.get(name, None)

    def remove(self, name: str) -> None:
        """Take an evaluation out that has no files any more."""
        self._change("DELETE FROM job WHERE id = ?", name)

    def claim(self) -> Job | None:
        """Take the oldest evaluation that waits; nobody else gets it."""
        with self._transaction() as database:
            row = database.execute(
                "UPDATE job SET state = 'running', server = ?, started = ?, attempts = attempts + 1"
                " WHERE id = (SELECT id FROM job WHERE state = 'queued' AND server IS NULL"
                " ORDER BY created LIMIT 1) RETURNING id",
                (self._server, time.time()),
            ).fetchone()
        return None if row is None else self.get(row[0], None)

    def report(self, name: str, progress: Progress | None) -> bool:
        """Keep how far a running evaluation is; gives whether it should go on."""
        return self._change(
            "UPDATE job SET progress = coalesce(?, progress)"
            " WHERE id = ? AND state = 'running' AND server = ?",
            None if progress is None else progress.model_dump_json(),
            name,
            self._server,
        )

    def finish(self, name: str, failure: Failure | None) -> None:
        """Say how a running evaluation ended; one that was cancelled meanwhile stays cancelled."""
        self._change(
            "UPDATE job SET state = ?, failure = ?, ended = ?"
            " WHERE id = ? AND state = 'running' AND server = ?",
            "succeeded" if failure is None else "failed",
            None if failure is None else failure.model_dump_json(),
            time.time(),
            name,
            self._server,
        )

    def release(self, name: str) -> None:
        """Say that this server does nothing for a job any more; one that still runs waits again."""
        self._change(f"{_RELEASE} AND id = ?", self._server, name)

    def release_all(self) -> None:
        """The same for all that this server runs; none of it counts as an attempt."""
        self._change(f"{_RELEASE} AND state != 'receiving'", self._server)

    def adopt(self, is_alive: Callable[[str], bool]) -> None:
        """Take over what dead servers left: their jobs wait again, their half uploads go."""
        rows = self._rows("SELECT DISTINCT server FROM job WHERE server IS NOT NULL")
        for (server,) in rows:
            if not is_alive(server):
                self._bequeath(server)

    def cancel(self, name: str, owner: str | None) -> Job:
        """End an evaluation that has not ended; raises as ``get`` does."""
        self.get(name, owner)
        self._change(
            "UPDATE job SET state = 'cancelled', ended = ?"
            " WHERE id = ? AND state IN ('queued', 'running')",
            time.time(),
            name,
        )
        return self.get(name, owner)

    def forget(self, name: str, owner: str | None) -> None:
        """Cancel an evaluation and show it to nobody any more; raises as ``get`` does."""
        self.cancel(name, owner)
        self._change("UPDATE job SET forgotten = 1 WHERE id = ?", name)

    def get(self, name: str, owner: str | None) -> Job:
        """One evaluation.

        Args:
            name: Its name.
            owner: Who may see it; None for anybody's.

        Raises:
            UnknownEvaluation: There is none of that name, or it is another caller's.
        """
        rows = self._rows("SELECT * FROM visible WHERE id = ?", name)
        if not rows or owner not in (None, rows[0][1]):
            raise UnknownEvaluation("This caller has no evaluation of that name.")
        return _job(rows[0])

    def all(self, owner: str | None, limit: int) -> list[Job]:
        """The newest evaluations, of one caller or of all."""
        rows = self._rows(
            "SELECT * FROM visible WHERE ?1 IS NULL OR owner = ?1 ORDER BY created DESC LIMIT ?2",
            owner,
            limit,
        )
        return [_job(row) for row in rows]

    def count(self, state: State) -> int:
        """How many are in a state."""
        ((count,),) = self._rows("SELECT count(*) FROM job WHERE state = ?", state)
        return int(count)

    def ended(self, since: float) -> list[str]:
        """Names of those that ended after a time and that no server works on."""
        rows = self._rows("SELECT id FROM job WHERE ended >= ? AND server IS NULL", since)
        return [name for (name,) in rows]

    def overdue(self, before: float) -> list[str]:
        """Names of those that nobody may see any more, or that ended before a time."""
        rows = self._rows(
            "SELECT id FROM job WHERE server IS NULL AND (forgotten OR ended < ?)", before
        )
        return [name for (name,) in rows]

    def _bequeath(self, server: str) -> None:
        failure = Failure(
            code="interrupted", detail=f"The server died during {MOST_ATTEMPTS} attempts."
        )
        with self._transaction() as database:
            database.execute(
                "UPDATE job SET state = 'failed', failure = ?, ended = ?"
                " WHERE server = ? AND state = 'running' AND attempts >= ?",
                (failure.model_dump_json(), time.time(), server, MOST_ATTEMPTS),
            )
            database.execute(
                "UPDATE job SET server = NULL, forgotten = forgotten OR state = ?,"
                " state = CASE state WHEN 'running' THEN 'queued' WHEN ? THEN 'cancelled'"
                " ELSE state END WHERE server = ?",
                (_RECEIVING, _RECEIVING, server),
            )

    def _change(self, statement: str, *values: object) -> bool:
        with self._transaction() as database:
            return database.execute(statement, values).rowcount > 0

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._turn:
            return self._database.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._turn, _room():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode not in _FULL:
            raise
        raise InsufficientStorage("There is no room for another evaluation.") from error


def _check_bounds(everybody: int, mine: int, bounds: Bounds) -> None:
    if mine >= bounds.per_caller:
        raise QuotaExceeded(
            f"{mine} evaluations of this caller wait or run, which is the limit.",
            retry_after_s=RETRY_AFTER_S,
        )
    if everybody >= bounds.all:
        raise QueueFull(
            f"{everybody} evaluations wait or run, which is the limit.", retry_after_s=RETRY_AFTER_S
        )


def _job(row: tuple[Any, ...]) -> Job:
    name, owner, state, options, source, created, started, ended, attempts, progress, failure = row
    return Job(
        id=name,
        owner=owner,
        state=state,
        options=Options.model_validate_json(options),
        source=Source.model_validate_json(source),
        created=created,
        started=started,
        ended=ended,
        attempts=attempts,
        progress=None if progress is None else Progress.model_validate_json(progress),
        failure=None if failure is None else Failure.model_validate_json(failure),
    )
