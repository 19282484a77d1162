"""One decoding process: files go in by shared memory, answers come out by a pipe."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import select
import socket
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np
from numpy.typing import NDArray

from pacx.errors import InputError, PacxError, PixelDataCorrupt
from pacx.preprocessing import Geometry, ModelInput
from pacx_server import decoder
from pacx_server.decoder import CONFINED, FILLED, Confinement, Job, Reply
from pacx_server.inbox import Inbox
from pacx_server.pieces import File
from pacx_server.pipe import receive_exactly, receive_message, send_message
from pacx_server.schemas import ImageFacts, WarningNote

LARGEST_REPLY_BYTES = 2**20
SEND_BUFFER_BYTES = 2**20
"""The pixels of an answer fit, so that a process need not wait until they are fetched."""
SHORT_BYTES = 4 * 2**20
"""To copy a file of this length takes about as long as the way to a thread and back."""
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decoded:
    """One decoded file.

    Attributes:
        input: What the model gets.
        picture: uint8 ``[rows, columns]`` for display, where it was asked for.
        facts: What is known about the image.
        warnings: What a reader should know about it.
        decode_s: Inside the process.
        study_sha256: Hash of the study's identifier, where it was asked for and there is one.
    """

    input: ModelInput
    picture: NDArray[np.uint8] | None
    facts: ImageFacts
    warnings: tuple[WarningNote, ...]
    decode_s: float
    study_sha256: str | None


class Worker:
    """One process with its pipe and its memory; used by one task at a time.

    Args:
        confinement: What the process may use.

    Raises:
        EOFError, OSError: The process does not start, or cannot keep to its limits.
    """

    def __init__(self, confinement: Confinement) -> None:
        context = multiprocessing.get_context("forkserver")
        ours, theirs = context.Pipe()
        self._end = socket.socket(fileno=os.dup(ours.fileno()))
        ours.close()
        _widen(theirs)
        self._inbox = Inbox()
        self._most_pixels = confinement.reading.pixels
        self._process = context.Process(
            target=decoder.serve,
            args=(theirs, self._inbox, confinement),
            name="pacx-decoder",
            daemon=True,
        )
        try:
            self._process.start()
            theirs.close()
            self._end_of_process = select.poll()
            self._end_of_process.register(self._process.sentinel, select.POLLIN)
            self._wait_until_confined()
        except (EOFError, OSError):
            self._let_go()
            raise
        self.files = 0

    @property
    def pid(self) -> int | None:
        """Of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        return not self._end_of_process.poll(0)

    async def ask(self, job: Job, data: File) -> Decoded:
        """Have a file decoded; after an error but ``PacxError``, or cancelled, it is of no use.

        Raises:
            PacxError: The process refuses the file.
            EOFError, OSError: The process has died.
            ValidationError: It does not answer as it should.
        """
        self.files += 1
        self._inbox.resize(len(data))
        await send_message(self._end, job.model_dump_json().encode())
        if len(data) > SHORT_BYTES:
            await asyncio.to_thread(self._inbox.put, data)
        else:
            self._inbox.put(data)
        await send_message(self._end, FILLED)
        reply = Reply.model_validate_json(await receive_message(self._end, LARGEST_REPLY_BYTES))
        if reply.facts is None:
            raise _as_error(reply)
        if reply.facts.rows * reply.facts.columns > self._most_pixels:
            raise OSError("The decoder says more than it may.")
        return await _receive(self._end, job, reply, reply.facts)

    def kill(self) -> None:
        """End the process now; who waits in ``ask`` sees the end of its pipe."""
        self._process.kill()

    def bury(self) -> int | None:
        """Free what is left of the process; returns its exit code."""
        self._process.kill()
        self._process.join(STOP_TIMEOUT_S)
        self._let_go()
        return self._process.exitcode

    def _wait_until_confined(self) -> None:
        self._end.settimeout(START_TIMEOUT_S)
        try:
            if self._end.recv(len(CONFINED)) != CONFINED:
                raise EOFError
        except TimeoutError:
            self._process.kill()
            raise
        self._end.setblocking(False)

    def _let_go(self) -> None:
        self._end.close()
        self._inbox.close()


def _widen(connection: Connection) -> None:
    with socket.socket(fileno=os.dup(connection.fileno())) as end:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)


def _as_error(reply: Reply) -> PacxError:
    if reply.failure is None:
        return PixelDataCorrupt("The decoder gave no answer.")
    return _kinds(InputError).get(reply.failure.code, PixelDataCorrupt)(reply.failure.detail)


def _kinds(root: type[InputError]) -> dict[str, type[InputError]]:
    kinds = {root.code: root}
    for child in root.__subclasses__():
        kinds |= _kinds(child)
    return kinds


async def _receive(end: socket.socket, job: Job, reply: Reply, facts: ImageFacts) -> Decoded:
    size = job.spec.size
    pixels = np.frombuffer(await receive_exactly(end, 4 * size * size), dtype=np.float32)
    picture = None
    if job.picture:
        raw = await receive_exactly(end, facts.rows * facts.columns)
        picture = np.frombuffer(raw, dtype=np.uint8).reshape(facts.rows, facts.columns)
    geometry = Geometry(facts.rows, facts.columns, size)
    return Decoded(
        input=ModelInput(pixels.reshape(size, size), geometry),
        picture=picture,
        facts=facts,
        warnings=reply.warnings,
        decode_s=reply.decode_s,
        study_sha256=reply.study_sha256,
    )
