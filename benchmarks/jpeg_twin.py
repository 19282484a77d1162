"""How far a model's answers move between a DICOM file and its 8-bit JPEG twin.

The twin is the picture that a training set would have made of the film: displayed through its
window, 8 bits, JPEG quality 95. Two questions are measured with the bundled model:

1. The same display twice: what do 8 bits and JPEG alone change?
2. No window in the file: which rule stays closest to the twin? Each 8-bit film is written into 14
   bits with a random offset and gain, fine noise, defective pixels and a border, and read under
   several rules.

Run ``python -m benchmarks.jpeg_twin --dicoms FOLDER --films FOLDER``; without folders, phantoms.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image

import pacx
from tests.dicom_files import dicom_file
from tests.phantom_dicom import chest_pixels

Greys = NDArray[np.float32]
BITS, BORDER_PX = 14, 12
DEFECTIVE_SHARE = 1e-4
PERCENTILES = [(0.0, 100.0), (0.01, 99.99), (0.05, 99.95), (0.1, 99.9), (0.5, 99.5), (1.0, 99.0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Distance between two answers.

    Attributes:
        grey: Mean absolute difference of the model's input, in 1/255.
        embedding: 1 - cosine similarity.
        probability: Largest absolute difference of a finding's probability.
    """

    grey: float
    embedding: float
    probability: float


def drift(model: pacx.Model, one: pacx.Radiograph, other: pacx.Radiograph) -> Drift:
    """Ask the model about both."""
    inputs = [model.prepare(radiograph).pixels for radiograph in (one, other)]
    first, second = (model.predict(radiograph) for radiograph in (one, other))
    norms = np.linalg.norm(first.embedding) * np.linalg.norm(second.embedding)
    pairs = zip(first.findings, second.findings, strict=True)
    return Drift(
        grey=float(255 * np.abs(inputs[0] - inputs[1]).mean()),
        embedding=float(1 - first.embedding @ second.embedding / norms),
        probability=max(abs(a.probability - b.probability) for a, b in pairs),
    )


def twin(shown: Greys) -> pacx.Radiograph:
    """The 8-bit JPEG of what was displayed."""
    buffer = io.BytesIO()
    Image.fromarray(np.rint(shown * 255).astype(np.uint8)).save(buffer, "JPEG", quality=95)
    return pacx.read(buffer.getvalue())


def detector_values(film: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint16]:
    """A film in a detector's units: random offset and gain, noise, defective pixels, a border."""
    gain, offset = rng.uniform(10, 50), rng.uniform(0, 3000)
    values = offset + gain * (film + rng.uniform(-0.5, 0.5, film.shape))
    defective = rng.integers(0, film.size, round(DEFECTIVE_SHARE * film.size))
    values.flat[defective] = rng.choice([0, (1 << BITS) - 1], len(defective))
    bordered = np.pad(values, BORDER_PX, constant_values=rng.choice([0, (1 << BITS) - 1]))
    return np.clip(bordered, 0, (1 << BITS) - 1).astype(np.uint16)


def without_window(values: NDArray[np.uint16], **window: Any) -> pacx.Radiograph:  # noqa: ANN401
    """Read a file with this window, or none, and take the border off again."""
    elements: dict[str, Any] = {"WindowCenter": None, "WindowWidth": None} | window
    radiograph = pacx.read(dicom_file(values, bits_stored=BITS, **elements))
    inside = slice(BORDER_PX, -BORDER_PX)
    return pacx.Radiograph(pixels=radiograph.pixels[inside, inside].copy(), source="dicom")


def percentile_window(values: NDArray[np.uint16], low: float, high: float) -> dict[str, Any]:
    """The window between two percentiles of what is inside the border."""
    inside = values[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX]
    first, last = np.percentile(inside, [low, high])
    window = {"WindowCenter": f"{(first + last) / 2:.6g}", "WindowWidth": f"{last - first:.6g}"}
    return window | {"VOILUTFunction": "LINEAR_EXACT"}


def films(folder: Path | None, count: int) -> Iterator[NDArray[np.uint8]]:
    """8-bit films of a training set, or phantoms."""
    if folder is None:
        for side in range(300, 300 + count):
            yield (chest_pixels(side, side) >> 4).astype(np.uint8)
        return
    paths = sorted(path for path in folder.rglob("*") if path.suffix in (".jpg", ".png"))
    for path in paths[:: max(1, len(paths) // count)][:count]:
        with Image.open(path) as picture:
            yield np.asarray(picture.convert("L"))


def rules(model: pacx.Model, folder: Path | None, count: int) -> dict[str, list[Drift]]:
    """Drift to the twin of every film under every rule."""
    rng = np.random.default_rng(0)
    found: dict[str, list[Drift]] = {}
    for film in films(folder, count):
        reference = pacx.Radiograph.from_array(film)
        values = detector_values(film, rng)
        for low, high in PERCENTILES:
            shown = without_window(values, **percentile_window(values, low, high))
            name = f"percentiles {low:g} to {high:g}"
            found.setdefault(name, []).append(drift(model, reference, shown))
        found.setdefault("the reader's default", []).append(
            drift(model, reference, without_window(values))
        )
    return found


def line(name: str, drifts: list[Drift]) -> str:
    """One row of a table: means, and the largest change of a probability."""
    grey = np.mean([found.grey for found in drifts])
    embedding = np.mean([found.embedding for found in drifts])
    mean = np.mean([found.probability for found in drifts])
    largest = max(found.probability for found in drifts)
    return f"| {name} | {len(drifts)} | {grey:.2f} | {embedding:.5f} | {mean:.4f} | {largest:.4f} |"


def stripped(path: Path) -> pacx.Radiograph | None:
    """A DICOM file without the window that it has; None where it has none."""
    data_set = pydicom.dcmread(path)
    if "WindowWidth" not in data_set:
        return None
    del data_set.WindowCenter, data_set.WindowWidth
    buffer = io.BytesIO()
    data_set.save_as(buffer)
    return pacx.read(buffer.getvalue())


HEAD = (
    "| case | films | grey, 1/255 | embedding, 1 - cos | probability, mean | largest |\n"
    "| --- | --- | --- | --- | --- | --- |"
)


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dicoms", type=Path, help="Folder of DICOM files.")
    parser.add_argument("--films", type=Path, help="Folder of 8-bit films.")
    parser.add_argument("--count", type=int, default=60)
    options = parser.parse_args()
    model = pacx.load()
    print(HEAD)
    for path in sorted(options.dicoms.glob("*.dcm")) if options.dicoms else ():
        radiograph = pacx.read(path)
        print(
            line(f"{path.stem} and its twin", [drift(model, radiograph, twin(radiograph.pixels))])
        )
        if (bare := stripped(path)) is not None:
            print(line(f"{path.stem} without its window", [drift(model, radiograph, bare)]))
    for name, drifts in rules(model, options.films, options.count).items():
        print(line(name, drifts))


if __name__ == "__main__":
    main()
