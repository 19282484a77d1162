"""Pictures of many kinds: chest films, the same turned, made ones, and those of folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.pixels.processing import apply_voi_lut

import pacx
from pacx.errors import InputError
from pacx.radiograph import Radiograph
from pacx_training.cohorts.nih import read_nih
from pacx_training.cohorts.noise import smooth_noise
from pacx_training.cohorts.phantom import phantom_radiograph

Pixels = NDArray[np.float32]
Pictures = Iterator[Radiograph]
Maker = Callable[[int], Pixels]
SIDE_PX = 512


def chest_films(data: Path, count: int) -> dict[str, Callable[[], Pictures]]:
    """Films of each source that are at hand; NIH's are those that no model was fitted on."""
    nih = read_nih(data / "nih", adults_only=False).split("val")
    adult = nih.labels[:, nih.label_names.index("age_years")] >= 18
    adults, children = (list(np.array(nih.paths)[chosen]) for chosen in (adult, ~adult))
    return {
        "NIH, adults (frontal, no film of the fit)": lambda: films(adults, count),
        "NIH, under 18": lambda: films(children, count),
        "NIH, normal adults, 256 px": lambda: folder(data / "nih_rsna_normals", count),
        "Hannover, adults": lambda: folder(data / "hannover_labs" / "images", count),
        "Guangzhou, 1 to 5 years, 224 px": lambda: folder(data / "kermany", count),
    }


def turned_films(data: Path, count: int) -> dict[str, Callable[[], Pictures]]:
    """What is wrong with a chest film that was turned, mirrored, inverted or cut."""
    paths = list(read_nih(data / "nih").split("val").paths)

    def changed(change: Callable[[Pixels], Pixels]) -> Pictures:
        for film in films(paths, count):
            yield Radiograph.from_array(np.ascontiguousarray(change(film.pixels)))

    return {
        "NIH, turned by 90°": lambda: changed(lambda film: np.rot90(film)),
        "NIH, upside down": lambda: changed(lambda film: film[::-1]),
        "NIH, mirrored": lambda: changed(lambda film: film[:, ::-1]),
        "NIH, negative": lambda: changed(lambda film: 1 - film),
        "NIH, one side of the chest": lambda: changed(lambda film: film[:, : film.shape[1] // 2]),
    }


def made_pictures(count: int) -> dict[str, Callable[[], Pictures]]:
    """Noise, patterns and drawn chests; the same seeds give the same pictures."""

    def each(make: Maker) -> Pictures:
        for seed in range(count):
            yield Radiograph.from_array(make(seed))

    return {
        "white noise": lambda: each(white_noise),
        "smooth noise": lambda: each(clouds),
        "chequered": lambda: each(chequered),
        "drawn chests, frontal": lambda: each(
            lambda seed: phantom_radiograph(seed, SIDE_PX).pixels
        ),
        "drawn chests, lateral": lambda: each(drawn_lateral),
    }


def white_noise(seed: int) -> Pixels:
    """Independent grey levels."""
    return np.random.default_rng(seed).random((SIDE_PX, SIDE_PX), dtype=np.float32)


def clouds(seed: int) -> Pixels:
    """Noise whose waves are about a sixteenth of the picture long."""
    return _stretched(smooth_noise(np.random.default_rng(seed), (SIDE_PX, SIDE_PX), 1 / 16))


def chequered(seed: int) -> Pixels:
    """A chessboard of random width, a little noisy."""
    generator = np.random.default_rng(seed)
    step = int(generator.integers(8, 128))
    rows, columns = np.indices((SIDE_PX, SIDE_PX)) // step
    board = (rows + columns) % 2 * 0.8 + 0.1
    return np.clip(board + generator.normal(0, 0.02, board.shape), 0, 1).astype(np.float32)


def drawn_lateral(seed: int) -> Pixels:
    """A schematic chest from the side: trunk, spine behind, heart in front, lungs over both."""
    generator = np.random.default_rng(seed)
    v, u = (np.indices((SIDE_PX, SIDE_PX)) + 0.5) / SIDE_PX
    lean, size = generator.normal(0, 0.02), generator.uniform(0.9, 1.1)

    def ellipsoid(centre: tuple[float, float], radii: tuple[float, float]) -> NDArray[np.float64]:
        across = (u - centre[0] - lean) / (radii[0] * size)
        down = (v - centre[1]) / (radii[1] * size)
        return np.asarray(np.sqrt(np.clip(1 - across**2 - down**2, 0, None)))

    trunk = 2.2 * ellipsoid((0.5, 0.55), (0.42, 0.62))
    lungs = -1.3 * ellipsoid((0.52, 0.45), (0.27, 0.36))
    heart = 0.7 * ellipsoid((0.36, 0.62), (0.15, 0.15))
    spine = 0.8 * np.exp(-(((u - 0.76 - lean - 0.05 * np.sin(4 * v)) / 0.045) ** 2))
    spine *= 1 + 0.25 * np.sin(2 * np.pi * v / 0.075)
    shown = trunk + lungs + heart + spine * (trunk > 0)
    return _stretched(shown + generator.normal(0, 0.02, shown.shape))


def folder(path: Path, count: int) -> Pictures:
    """Pictures of a folder and those in it, in an order that does not depend on names."""
    paths = sorted(found for found in path.rglob("*") if found.is_file())
    yield from films(list(np.random.default_rng(0).permutation(np.array(paths, object))), count)


def films(paths: list[Path], count: int) -> Pictures:
    """The first pictures that can be read, each picture once however often it is stored."""
    seen: set[bytes] = set()
    for path in paths:
        for picture in _pictures_in(path):
            small = np.rint(picture.pixels[:: max(1, picture.rows // 32)] * 8).astype(np.uint8)
            if small.tobytes() not in seen and len(seen) < count:
                seen.add(small.tobytes())
                yield picture


def _pictures_in(path: Path) -> Pictures:
    """A radiograph or picture, or every frame of a DICOM file of another modality."""
    if path.suffix.lower() in {".dcm", ".dicom"}:
        yield from _frames(path)
        return
    try:
        yield pacx.read(path)
    except InputError:
        return


def _frames(path: Path) -> Pictures:
    try:
        header = dcmread(path, force=True)
        frames = header.pixel_array
    except (AttributeError, NotImplementedError, RuntimeError, ValueError, TypeError, OSError):
        return
    grey = frames if header.SamplesPerPixel == 1 else frames.mean(axis=-1)
    for frame in grey.reshape(-1, *grey.shape[-2:]):
        shown = _stretched(apply_voi_lut(frame, header) if header.SamplesPerPixel == 1 else frame)
        if min(shown.shape) >= 32 and np.ptp(shown) > 0:
            dark = header.PhotometricInterpretation == "MONOCHROME1"
            yield Radiograph.from_array(1 - shown if dark else shown)


def _stretched(values: NDArray[np.generic]) -> Pixels:
    """Between the first and the last percentile, in [0, 1]."""
    levels = values.astype(np.float64)
    low, high = np.percentile(levels, [1, 99])
    spread = np.clip((levels - low) / max(high - low, 1e-9), 0, 1)
    return np.asarray(spread, dtype=np.float32)
