"""Ask a model about pictures of many kinds, and tell how many of each kind it flags.

    python -m benchmarks.novelty --data RADIOGRAPHS --pictures "CT slices=FOLDER" --write

``--data`` holds the folders of chest films, ``--pictures`` may be repeated: any folder with
pictures of one kind. DICOM files of other modalities give all their frames.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from scipy.stats import binomtest

import pacx
from benchmarks.novelty.pictures import (
    Pictures,
    chest_films,
    folder,
    made_pictures,
    turned_films,
)

RESULTS = Path(__file__).parents[2] / "docs" / "results" / "novelty.md"
MARK = "<!-- table -->"
Kinds = Mapping[str, Callable[[], Pictures]]


def flagged(model: pacx.Model, pictures: Pictures) -> list[tuple[bool, bool]]:
    """For every picture whether it is unlike chest films, and whether no frontal chest is seen."""
    answers = (model.predict(picture).quality for picture in pictures)
    return [(bool(q.out_of_distribution), q.is_frontal_chest is False) for q in answers]


def share(count: int, total: int) -> str:
    """A count, its share and Wilson's 95 % interval."""
    interval = binomtest(count, total).proportion_ci(method="wilson")
    percent = [f"{100 * part:.0f}" for part in (count / total, interval.low, interval.high)]
    return f"{count} ({percent[0]} %, {percent[1]} to {percent[2]})"


def row(kind: str, answers: list[tuple[bool, bool]]) -> str:
    """One line of the table."""
    total = len(answers)
    columns = [
        sum(unlike for unlike, _ in answers),
        sum(unseen for _, unseen in answers),
        sum(unlike or unseen for unlike, unseen in answers),
    ]
    return f"| {kind} | {total} | {' | '.join(share(count, total) for count in columns)} |"


def table(model: pacx.Model, groups: Mapping[str, Kinds]) -> str:
    """A Markdown table with a line for each kind of picture."""
    lines = ["| | pictures | unlike chest films | no heart and lungs | either |", "|---" * 5 + "|"]
    for group, kinds in groups.items():
        if not kinds:
            continue
        lines.append(f"| **{group}** | | | | |")
        for kind, pictures in kinds.items():
            answers = flagged(model, pictures())
            if answers:
                lines.append(row(kind, answers))
                print(lines[-1], flush=True)
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and put the table into ``docs/results``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="Folder with nih, kermany and so on.")
    parser.add_argument("--pictures", action="append", default=[], metavar="KIND=FOLDER")
    parser.add_argument("--bundle", default=None)
    parser.add_argument("--count", type=int, default=120, help="Pictures of a kind at most.")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="Write docs/results/novelty.md.")
    options = parser.parse_args()
    model = pacx.load(options.bundle, engine="onnxruntime", threads=options.threads)
    groups: dict[str, Kinds] = {}
    if options.data is not None:
        groups["Chest films: false alarms"] = chest_films(options.data, options.count)
        groups["Chest films that something is wrong with"] = turned_films(
            options.data, options.count
        )
    others = [pair.partition("=")[::2] for pair in options.pictures]
    groups["Other pictures"] = {
        kind: partial(folder, Path(path), options.count) for kind, path in others
    }
    groups["Made pictures"] = made_pictures(min(options.count, 40))
    text = f"`{model.manifest.name}` {model.manifest.version}:\n\n{table(model, groups)}\n"
    if options.write:
        head = RESULTS.read_text("utf-8").partition(MARK)[0]
        RESULTS.write_text(f"{head}{MARK}\n\n{text}", encoding="utf-8")


if __name__ == "__main__":
    main()
