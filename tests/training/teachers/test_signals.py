"""Electrocardiograms on their way to a teacher: filters, WFDB files, the cache, stretches."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import wfdb
from numpy.typing import NDArray

from pacx.errors import CohortError
from pacx_training.cohorts.paired import read_paired
from pacx_training.recipes import read_section
from pacx_training.sampling import Draws, Rows
from pacx_training.teachers.ecg import EcgRecipe, EcgSource, train_ecg
from pacx_training.teachers.filtering import filter_ecg
from pacx_training.teachers.records import LEADS, lead_order, read_wfdb
from pacx_training.teachers.signals import filtered_signals, wfdb_signals
from pacx_training.teachers.storage import load_card, load_ecg_teacher

TIME_S = np.arange(5000) / 500


def wave(frequency_hz: float) -> NDArray[np.float64]:
    return np.tile(np.sin(2 * np.pi * frequency_hz * TIME_S), (12, 1))


def power(signal: NDArray[np.floating], frequency_hz: float) -> float:
    spectrum = np.abs(np.fft.rfft(signal[0, 500:4500])) ** 2
    return float(spectrum[round(frequency_hz * 8)])


def test_mains_muscle_and_wander_go_and_the_heart_stays() -> None:
    heart = wave(10.0)
    clean = filter_ecg(heart + wave(50.0) + wave(80.0) + 5 * wave(0.1))
    for unwanted in (50.0, 80.0):
        assert power(clean, unwanted) < 1e-3 * power(clean, 10.0)
    assert np.corrcoef(clean[0, 500:4500], heart[0, 500:4500])[0, 1] > 0.99
    assert clean.mean() == pytest.approx(0, abs=1e-4)
    assert clean.std() == pytest.approx(1, abs=1e-4)


def test_leads_keep_their_proportions_and_units_do_not_matter() -> None:
    ecg = wave(8.0) * np.linspace(0.2, 2, 12)[:, None]
    clean = filter_ecg(ecg)
    spreads = clean[:, 500:4500].std(axis=1)
    np.testing.assert_allclose(spreads / spreads[-1], np.linspace(0.1, 1, 12), atol=1e-3)
    np.testing.assert_allclose(filter_ecg(1000 * ecg), clean, atol=1e-4)


def write_record(folder: Path, name: str, rate_hz: int, seconds: int, unit: str = "uV") -> None:
    """Write leads in reverse order, the i-th a sine of i + 1 tenths of a millivolt."""
    time_s = np.arange(rate_hz * seconds) / rate_hz
    signal = np.stack([(i + 1) * 100 * np.sin(2 * np.pi * time_s) for i in range(12)], axis=1)
    wfdb.wrsamp(
        name,
        fs=rate_hz,
        units=[unit] * 12,
        sig_name=list(reversed(LEADS)),
        p_signal=signal,
        fmt=["16"] * 12,
        write_dir=str(folder),
    )


@pytest.mark.parametrize(("rate_hz", "seconds"), [(500, 10), (250, 10), (500, 4), (500, 14)])
def test_wfdb_records_come_in_order_in_millivolts_and_ten_seconds(
    rate_hz: int, seconds: int, tmp_path: Path
) -> None:
    write_record(tmp_path, "record", rate_hz, seconds)
    ecg = read_wfdb(tmp_path / "record.hea")
    assert ecg.shape == (12, 5000)
    length = min(5000, 500 * seconds)
    middle = slice(500, min(1000, length))
    expected = np.sin(2 * np.pi * TIME_S)[middle]
    np.testing.assert_allclose(ecg[0, middle], 1.2 * expected, atol=0.01)
    np.testing.assert_allclose(ecg[-1, middle], 0.1 * expected, atol=0.01)
    assert not ecg[:, length:].any()


def test_units_are_read_in_either_case_and_others_refused(tmp_path: Path) -> None:
    for name, unit in (("upper", "uV"), ("lower", "uv"), ("other", "mmHg")):
        write_record(tmp_path, name, 500, 10, unit)
    upper, lower = (read_wfdb(tmp_path / name) for name in ("upper", "lower"))
    np.testing.assert_array_equal(upper, lower)
    with pytest.raises(CohortError, match=rf"{re.escape(str(tmp_path / 'other'))} is not in V"):
        read_wfdb(tmp_path / "other")


def test_a_folder_of_wfdb_records_teaches_too(tmp_path: Path) -> None:
    records = tmp_path / "records"
    records.mkdir()
    for number in range(12):
        write_record(records, f"r{number}", 500, 10)
    found = wfdb_signals(records, tmp_path / "cache")
    assert len(found["train"].patients) + len(found["val"].patients) == 12
    expected = filter_ecg(read_wfdb(records / "r0.hea"))
    np.testing.assert_allclose(found["train"].records[0], expected, atol=0.02)
    brief = ("loop.epochs=1", "loop.batch_size=4")
    train_ecg("smoke", records, tmp_path / "run", brief)
    assert not load_card(tmp_path / "run").simulated
    assert load_ecg_teacher(tmp_path / "run").dimension == 64
    (tmp_path / "empty").mkdir()
    with pytest.raises(CohortError, match="holds no WFDB records"):
        wfdb_signals(tmp_path / "empty", tmp_path)


def test_a_record_without_a_lead_or_without_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="no lead V6"):
        lead_order(LEADS[:-1])
    assert lead_order([lead.upper() for lead in LEADS]) == list(range(12))
    missing = tmp_path / "none.hea"
    with pytest.raises(CohortError, match=rf"{re.escape(str(missing))} cannot be read"):
        read_wfdb(missing)
    write_record(tmp_path, "short", 500, 10)
    header = tmp_path / "short.hea"
    header.write_text(header.read_text().replace("V6", "V9"))
    with pytest.raises(CohortError, match=rf"{re.escape(str(header))} has no lead V6"):
        read_wfdb(header)


def test_records_are_filtered_once_and_gaps_left_out(cohort: Path, tmp_path: Path) -> None:
    split = read_paired(cohort).splits["train"]
    there = [index for index in range(len(split)) if split.ecg(index) is not None]
    assert 0 < len(there) < len(split)
    signals = filtered_signals(split, tmp_path)
    np.testing.assert_array_equal(signals.patients, split.patients[there])
    expected = filter_ecg(np.asarray(split.ecg(there[2])))
    np.testing.assert_allclose(signals.records[2], expected, atol=0.02)
    (path,) = tmp_path.glob("*.npy")
    before = path.stat().st_mtime_ns
    filtered_signals(split, tmp_path)
    assert path.stat().st_mtime_ns == before


def test_stretches_are_cut_from_the_record_they_belong_to(cohort: Path, tmp_path: Path) -> None:
    plain = ["gain=0", "lead_dropout=0", "stretch_samples=1000"]
    recipe = read_section("smoke", "ecg", EcgRecipe, plain)
    signals = filtered_signals(read_paired(cohort).splits["train"], tmp_path)
    source, indices = EcgSource(signals, recipe), np.array([3, 0])
    draws = Draws.of_step(0, 0, Rows(start=0, stop=2, total=2))
    first, second, patients = source.batch(indices, draws)
    np.testing.assert_array_equal(patients, signals.patients[indices])
    for cut in (first[0].numpy(), second[0].numpy()):
        windows = np.lib.stride_tricks.sliding_window_view(signals.records[3][0], 1000)
        assert (windows == cut[0].astype(np.float16)).all(axis=1).any()
    assert not np.array_equal(first, second)
