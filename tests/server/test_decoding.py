"""Decoding in guarded processes: whatever a file or the kernel does, one request is affected."""

from __future__ import annotations

import asyncio
import io
import os
import resource
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

from pacx.errors import NotAnImage, SettingsError, TooComplex
from pacx.preprocessing import PreprocessingSpec, prepare
from pacx.reading import ReadingLimits, ReadingOptions, read
from pacx_server.decoder import OPEN_FILES, Confinement
from pacx_server.decoding import DecoderPool
from tests.live_server import limited
from tests.phantom_dicom import chest_pixels, dicom_bytes
from tests.server.conftest import Launch

SPEC = PreprocessingSpec()
MEBIBYTE = 2**20


@asynccontextmanager
async def pool(
    *,
    workers: int = 2,
    memory_bytes: int = 1024 * MEBIBYTE,
    cpu_s: int = 20,
    deadline_s: float = 60,
    recycle_after: int = 1000,
    reasons: list[str] | None = None,
) -> AsyncIterator[DecoderPool]:
    confinement = Confinement(
        memory_bytes=memory_bytes, cpu_s=cpu_s, reading=ReadingLimits(), options=ReadingOptions()
    )
    replaced = [] if reasons is None else reasons
    decoders = DecoderPool(
        workers=workers,
        confinement=confinement,
        deadline_s=deadline_s,
        recycle_after=recycle_after,
        on_replacement=replaced.append,
    )
    await decoders.start()
    try:
        yield decoders
    finally:
        await decoders.close()


def large_png(side: int = 7000) -> bytes:
    """A file that takes its time: random grey levels."""
    buffer = io.BytesIO()
    random = np.random.default_rng(1)
    tile = random.integers(0, 255, (side, side), dtype=np.uint8)
    Image.fromarray(tile).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


async def until(happens: Callable[[], bool]) -> None:
    for _ in range(3000):
        if happens():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


def play(story: Awaitable[None]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(story, 120)

    asyncio.run(bounded())


def test_a_process_decodes_as_the_library_does(phantom_dicom: bytes) -> None:
    async def story() -> None:
        async with pool(workers=1) as decoders:
            decoded = await decoders.decode(phantom_dicom, SPEC, picture=True)
        radiograph = read(phantom_dicom)
        np.testing.assert_array_equal(decoded.input.pixels, prepare(radiograph, SPEC).pixels)
        assert decoded.picture is not None
        assert np.abs(decoded.picture / 255 - radiograph.pixels).max() <= 0.5 / 255 + 1e-6
        assert decoded.facts.spacing_mm == radiograph.spacing_mm

    play(story())


def test_a_killed_process_costs_at_most_its_own_request(phantom_dicom: bytes) -> None:
    async def story() -> None:
        reasons: list[str] = []
        slow = large_png()
        async with pool(reasons=reasons) as decoders:
            before = decoders.pids
            victim = asyncio.ensure_future(decoders.decode(slow, SPEC))
            busy = await busy_pid(before)
            os.kill(busy, signal.SIGKILL)
            mates = await asyncio.gather(*(decoders.decode(phantom_dicom, SPEC) for _ in range(6)))
            assert len(mates) == 6
            assert (await victim).facts.rows == 7000  # tried once more, and it was not its fault
            await until(lambda: len(decoders.pids) == 2)
            assert busy not in decoders.pids
        assert reasons == ["crashed"]

    play(story())


def test_processes_that_died_idle_cost_nobody_anything(phantom_dicom: bytes) -> None:
    async def story() -> None:
        reasons: list[str] = []
        async with pool(reasons=reasons) as decoders:
            before = decoders.pids
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            await until(lambda: not any(runs(pid) for pid in before))
            assert (await decoders.decode(phantom_dicom, SPEC)).facts.rows == 500
            await until(lambda: len(decoders.pids) == 2)
            assert not set(before) & set(decoders.pids)
        assert reasons == ["crashed", "crashed"]

    play(story())


def runs(pid: int) -> bool:
    """Whether a process has neither ended nor waits to be buried."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


async def busy_pid(pids: list[int]) -> int:
    """The process that uses processor time."""
    processes = [psutil.Process(pid) for pid in pids]
    start = [sum(process.cpu_times()[:2]) for process in processes]
    while True:
        await asyncio.sleep(0.02)
        for process, used in zip(processes, start, strict=True):
            if sum(process.cpu_times()[:2]) > used + 0.03:
                return process.pid


def test_a_file_past_its_deadline_is_refused_and_its_process_replaced(
    phantom_dicom: bytes,
) -> None:
    async def story() -> None:
        reasons: list[str] = []
        async with pool(workers=1, deadline_s=0.05, reasons=reasons) as decoders:
            with pytest.raises(TooComplex):
                await decoders.decode(large_png(), SPEC)
            assert reasons == ["deadline"]

    play(story())


def test_memory_is_limited(phantom_dicom: bytes) -> None:
    async def story() -> None:
        async with pool(workers=1, memory_bytes=96 * MEBIBYTE) as decoders:
            with pytest.raises(TooComplex, match="memory"):
                await decoders.decode(large_png(), SPEC)
            assert (await decoders.decode(phantom_dicom, SPEC)).facts.rows == 500

    play(story())


def test_a_caller_who_leaves_frees_the_process(phantom_dicom: bytes) -> None:
    async def story() -> None:
        reasons: list[str] = []
        async with pool(workers=1, reasons=reasons) as decoders:
            leaving = asyncio.ensure_future(decoders.decode(large_png(), SPEC))
            await busy_pid(decoders.pids)
            leaving.cancel()
            assert (await decoders.decode(phantom_dicom, SPEC)).facts.rows == 500
            assert reasons == ["abandoned"]

    play(story())


def test_bad_files_do_not_cost_processes_and_old_ones_are_replaced(phantom_dicom: bytes) -> None:
    async def story() -> None:
        reasons: list[str] = []
        async with pool(workers=1, recycle_after=10, reasons=reasons) as decoders:
            first = decoders.pids
            for _ in range(9):
                with pytest.raises(NotAnImage):
                    await decoders.decode(b"no image", SPEC)
            assert decoders.pids == first
            await decoders.decode(phantom_dicom, SPEC)
            await decoders.decode(phantom_dicom, SPEC)
            assert decoders.pids != first
        assert reasons == []

    play(story())


def is_filtered(pid: int) -> bool:
    """Whether the kernel filters the system calls of a process."""
    return "Seccomp:\t2" in Path(f"/proc/{pid}/status").read_text()


def test_processes_know_no_secret_reach_no_network_and_end_with_the_pool(
    phantom_dicom: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACX_AUDIT_KEY", "do not tell")

    async def story() -> None:
        async with pool() as decoders:
            await decoders.decode(phantom_dicom, SPEC)
            pids = decoders.pids
            for pid in pids:
                assert "do not tell" not in psutil.Process(pid).environ().values()
                assert is_filtered(pid)
        assert not any(psutil.pid_exists(pid) for pid in pids)

    play(story())


def test_no_descriptor_is_lost(phantom_dicom: bytes) -> None:
    async def story() -> None:
        async with pool(workers=1, recycle_after=3) as decoders:
            await decoders.decode(phantom_dicom, SPEC)
            await settled(decoders)
            before = psutil.Process().num_fds()
            for _ in range(12):
                await decoders.decode(phantom_dicom, SPEC)
            await settled(decoders)
            assert psutil.Process().num_fds() <= before + 2

    play(story())


async def settled(decoders: DecoderPool) -> None:
    """Wait until a replacement that is under way has ended."""
    await until(lambda: bool(decoders.pids))
    await asyncio.sleep(0.05)


def test_limits_of_the_system_that_are_lower_stay(phantom_dicom: bytes, launch: Launch) -> None:
    """Descriptors and processor time of a user may be few; that is no fault of a file."""
    program = limited(RLIMIT_NOFILE=OPEN_FILES - 24, RLIMIT_CPU=500)
    server = launch(program=program, decode_workers=1, decode_cpu_s=1000)
    film = {"file": phantom_dicom}
    assert httpx.post(f"{server.url}/predict", files=film, timeout=60).is_success


def test_processes_that_do_not_start_are_no_fault_of_a_file(phantom_dicom: bytes) -> None:
    """Whoever waits is answered once the system lets one start; nobody is ready before."""

    async def story() -> None:
        async with pool(workers=1) as decoders:
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            os.kill(decoders.pids[0], signal.SIGKILL)
            await until(lambda: not runs(decoders.pids[0]))
            resource.setrlimit(resource.RLIMIT_NOFILE, (psutil.Process().num_fds(), hard[1]))
            try:
                waiting = asyncio.ensure_future(decoders.decode(phantom_dicom, SPEC))
                await asyncio.sleep(0.5)
                assert not decoders.alive
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, hard)
            assert (await waiting).facts.rows == 500
            assert decoders.alive

    play(story())


def test_a_pool_whose_processes_do_not_start_is_refused() -> None:
    async def story() -> None:
        with pytest.raises(SettingsError, match="PACX_DECODE_MEMORY_BYTES"):
            async with pool(memory_bytes=2**80):
                pass

    play(story())


def test_callers_take_turns_at_the_processes() -> None:
    async def story() -> None:
        order: list[str] = []
        files = {"flood": dicom_bytes(chest_pixels()), "other": dicom_bytes(chest_pixels(300, 300))}

        async def ask(decoders: DecoderPool, key: str) -> None:
            await decoders.decode(files[key], SPEC, key=key)
            order.append(key)

        async with pool(workers=1) as decoders:
            flood = [asyncio.ensure_future(ask(decoders, "flood")) for _ in range(8)]
            await asyncio.sleep(0)
            await asyncio.gather(*flood, ask(decoders, "other"))
        assert order.index("other") <= 2

    play(story())
