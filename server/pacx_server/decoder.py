"""The inside of a decoding process: untrusted bytes in, pixels and facts out, little else allowed.

Answers are JSON and raw pixels, never pickles: the server must not run what a process says that
has been taken over by a file.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import resource
import signal
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict
from pydicom import dcmread
from pydicom.tag import Tag

from pacx.errors import MalformedImage, PacxError, TooComplex
from pacx.preprocessing import PreprocessingSpec, prepare
from pacx.radiograph import Radiograph
from pacx.reading import ReadingLimits, ReadingOptions, read
from pacx.reading.content import Content
from pacx_server.inbox import Inbox
from pacx_server.pipe import read_message, write_message
from pacx_server.rendering import to_display
from pacx_server.schemas import ImageFacts, WarningNote
from pacx_server.seclusion import forbid_sockets
from pacx_server.silence import silence_libraries

KEPT_VARIABLES = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
OPEN_FILES = 64
CONFINED = b"confined"
"""The first thing that a process says."""
FILLED = b"filled"
"""The file that a job is about is there; until then the process makes ready."""
_STUDY = Tag(0x0020, 0x000D)

Answer: TypeAlias = tuple[bytes, *tuple[memoryview, ...]]
"""The reply as JSON, then what follows it."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What one decoding process may use.

    Attributes:
        memory_bytes: Address space on top of what the idle process has.
        cpu_s: Processor time of one file.
        reading: Limits that the reader checks itself.
        options: What is accepted as a chest radiograph.
    """

    memory_bytes: int
    cpu_s: int
    reading: ReadingLimits
    options: ReadingOptions


class Job(BaseModel):
    """What to do with the bytes that follow."""

    model_config = ConfigDict(frozen=True)

    spec: PreprocessingSpec
    size_bytes: int
    picture: bool
    study: bool = False


class Failure(BaseModel):
    """Why there are no pixels."""

    code: str
    detail: str


class Reply(BaseModel):
    """What was found; float32 ``[size, size]`` follows, then uint8 ``[rows, columns]`` if asked."""

    facts: ImageFacts | None = None
    warnings: tuple[WarningNote, ...] = ()
    failure: Failure | None = None
    study_sha256: str | None = None
    decode_s: float


def scrubbed_environment() -> dict[str, str]:
    """What a decoding process may know of the server's environment: no keys, one thread."""
    return {k: v for k, v in os.environ.items() if k in KEPT_VARIABLES} | ONE_THREAD


def serve(connection: Connection, inbox: Inbox, confinement: Confinement) -> None:
    """Say that the limits hold, then decode one file after the other until the other end closes."""
    _confine(confinement)
    os.write(connection.fileno(), CONFINED)
    while True:
        try:
            job = Job.model_validate_json(read_message(connection))
            data = inbox.look(job.size_bytes)
            _allow_cpu(confinement.cpu_s)
            read_message(connection)  # FILLED
            write_message(connection, *answer(job, data, confinement))
        except (EOFError, BrokenPipeError):
            return


def answer(job: Job, data: Content, confinement: Confinement) -> Answer:
    """Decode one file: the reply as JSON, then pixels unless it failed."""
    started = time.perf_counter()
    try:
        radiograph = read(data, limits=confinement.reading, options=confinement.options)
        study = _study_sha256(data) if job.study and radiograph.source == "dicom" else None
        return _success(job, radiograph, study, started)
    except PacxError as error:
        return _failure(error, started)
    except MemoryError:
        return _failure(TooComplex("Decoding takes more memory than is allowed."), started)
    except Exception as error:
        log.error("unforeseen failure of a decoder: %s", type(error).__name__)
        return _failure(MalformedImage("The decoder cannot make sense of this file."), started)


def _study_sha256(data: Content) -> str | None:
    """Hash of the Study Instance UID (0020,000D), of a file that has been read before."""
    header = dcmread(io.BytesIO(data), stop_before_pixels=True, specific_tags=[_STUDY])
    uid = header.get(_STUDY)
    return hashlib.sha256(str(uid.value).encode()).hexdigest() if uid else None


def _success(job: Job, radiograph: Radiograph, study: str | None, started: float) -> Answer:
    pixels = prepare(radiograph, job.spec).pixels
    parts = [np.ascontiguousarray(pixels).data.cast("B")]
    if job.picture:
        parts.append(np.ascontiguousarray(to_display(radiograph.pixels)).data.cast("B"))
    reply = Reply(
        facts=ImageFacts(
            rows=radiograph.rows,
            columns=radiograph.columns,
            modality=radiograph.modality,
            view=radiograph.view,
            spacing_mm=radiograph.spacing_mm,
            source=radiograph.source,
        ),
        warnings=tuple(WarningNote(code=w.code, message=w.message) for w in radiograph.warnings),
        study_sha256=study,
        decode_s=time.perf_counter() - started,
    )
    return reply.model_dump_json().encode(), *parts


def _failure(error: PacxError, started: float) -> Answer:
    failure = Failure(code=error.code, detail=error.detail)
    reply = Reply(failure=failure, decode_s=time.perf_counter() - started)
    return (reply.model_dump_json().encode(),)


def _confine(confinement: Confinement) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # the server decides when work is over
        signal.signal(number, signal.SIG_IGN)
    os.environ.clear()
    silence_libraries()
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 - not a path to keep
        mapped_bytes = int(statm.read().split()[0]) * resource.getpagesize()
    _limit(resource.RLIMIT_AS, mapped_bytes + confinement.memory_bytes)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    if not forbid_sockets():
        log.warning("this system cannot keep decoding processes off the network")


def _limit(kind: int, wanted: int) -> None:
    """Limit for good what the process may use; a limit of the system that is lower stays."""
    allowed = _allowed(kind, wanted)
    resource.setrlimit(kind, (allowed, allowed))


def _allowed(kind: int, wanted: int) -> int:
    hard = resource.getrlimit(kind)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def _allow_cpu(seconds: int) -> None:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used_s = int(usage.ru_utime + usage.ru_stime)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    allowed_s = _allowed(resource.RLIMIT_CPU, used_s + seconds + 1)
    resource.setrlimit(resource.RLIMIT_CPU, (allowed_s, hard))
