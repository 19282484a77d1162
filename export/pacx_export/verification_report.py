"""``verification.json``: what was proved of a bundle, kept in it and told by its model card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pacx.engines import Precision
from pacx.engines.parity import Measure
from pacx.manifest import GraphName, RefusedVariant
from pacx.model_card import CARD, with_section
from pacx_export.card import ENGINES, bullets

FILE = "verification.json"
Variant = tuple[str, str, str]
"""Graph, engine and precision."""
NO_FILMS = "**No real radiograph was among what the bundle was proved on.**"


class _Frozen(BaseModel):
    # JSON has no infinity, which is the distance of something from nothing.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class OutputParity(_Frozen):
    """One measure of one output over all pictures; 0 is perfect."""

    output: str
    measure: Measure
    worst: float
    mean: float
    limit: float


class GraphParity(_Frozen):
    """How exactly one engine repeats one graph in one precision.

    Attributes:
        emulated: Whether the engine itself did not run: ONNX Runtime did, with every product
            rounded as the engine would.
    """

    graph: GraphName
    engine: str
    precision: Precision
    outputs: tuple[OutputParity, ...]
    decisions: int
    flipped_decisions: int
    passed: bool
    emulated: bool = False

    @property
    def variant(self) -> Variant:
        """What it is about."""
        return self.graph, self.engine, self.precision

    @property
    def refusal(self) -> RefusedVariant:
        """The manifest's entry where it did not pass."""
        over = [item for item in self.outputs if not item.worst <= item.limit]
        reasons = [f"{item.output} {item.measure} {item.worst:.2g}" for item in over]
        return RefusedVariant(
            graph=self.graph,
            engine=self.engine,
            precision=self.precision,
            reason=", ".join(reasons) or f"{self.flipped_decisions} decisions differ",
        )

    def __str__(self) -> str:
        """One sentence for the model card."""
        worst = ", ".join(f"{item.output} {item.measure} {item.worst:.1e}" for item in self.outputs)
        verdict = "" if self.passed else "**not offered**; "
        flips = f"{self.flipped_decisions} of {self.decisions} decisions differ; "
        how = ", emulated on ONNX Runtime" if self.emulated else ""
        return (
            f"`{self.graph}` on {self.engine} {self.precision}{how}: {verdict}"
            f"{flips if self.decisions else ''}worst distances {worst}."
        )


class IntegerPictures(_Frozen):
    """What the integer variants of a bundle were made with; how many pictures of each kind.

    Attributes:
        calibrated_on: Where ranges of activations come from.
        proved_on: What the variants were compared with float32 on.
    """

    calibrated_on: dict[str, int]
    proved_on: dict[str, int]

    def __str__(self) -> str:
        """One sentence for the model card, and another where something is missing."""
        text = (
            f"Integer variants were calibrated on {_counts(self.calibrated_on)} and proved on "
            f"{_counts(self.proved_on)}."
        )
        return " ".join([text, *self.doubts])

    @property
    def doubts(self) -> tuple[str, ...]:
        """What a reader must be warned of."""
        calibrated = "**No real radiograph was among what they were calibrated on.**"
        proved = "**No real radiograph was among what they were proved on.**"
        missing = ("film" not in self.calibrated_on, "film" not in self.proved_on)
        return (*((calibrated,) * missing[0]), *((proved,) * missing[1]))


class PlanPictures(_Frozen):
    """What a bundle's TensorRT engines were compared with float32 on; how many of each kind."""

    proved_on: dict[str, int]

    def __str__(self) -> str:
        """One sentence for the model card, and another where something is missing."""
        text = f"TensorRT engines were proved on {_counts(self.proved_on)}."
        return " ".join([text, *self.doubts])

    @property
    def doubts(self) -> tuple[str, ...]:
        """What a reader must be warned of."""
        proved = "**No real radiograph was among what TensorRT engines were proved on.**"
        return () if "film" in self.proved_on else (proved,)


class Verification(_Frozen):
    """``verification.json``: what was compared when the bundle was made.

    Attributes:
        processor: Of the machine.
        pictures: How many of each kind.
        results: Of every graph, engine and precision.
        unproved: What the machine could not run.
        rounding: Worst 1 - cosine between embeddings of the run's float32 weights and of those
            that are stored; None in bundles from before it was measured.
        integers: Of the integer variants, where there are any.
        plans: Of the TensorRT engines, where there are any.
    """

    processor: str
    pictures: dict[str, int]
    results: tuple[GraphParity, ...]
    unproved: tuple[RefusedVariant, ...] = ()
    rounding: float | None = None
    integers: IntegerPictures | None = None
    plans: PlanPictures | None = None

    @property
    def statements(self) -> tuple[str, ...]:
        """What the model card says of it: the pictures, then one sentence a result."""
        counts = _counts(self.pictures)
        pictures = f"Proved on these pictures when the bundle was made: {counts}."
        if "film" not in self.pictures:
            pictures += f" {NO_FILMS}"
        unproved = (
            f"`{entry.graph}` on {entry.engine} {entry.precision}: **not offered**; {entry.reason}."
            for entry in self.unproved
        )
        results = (*map(str, self.results), *unproved)
        return pictures, *self._rounded(), *results, *map(str, self._added)

    def renewed(self, later: Verification) -> Verification:
        """This report with what a later one found; what only this one could run stays."""
        run = {result.variant for result in later.results}
        kept = [result for result in self.results if result.variant not in run]
        known = run | {result.variant for result in kept}
        unproved = {variant_of(entry): entry for entry in (*self.unproved, *later.unproved)}
        return self.model_copy(
            update={
                "processor": later.processor,
                "pictures": later.pictures,
                "results": (*later.results, *kept),
                "unproved": tuple(e for variant, e in unproved.items() if variant not in known),
            }
        )

    def _rounded(self) -> Iterator[str]:
        if self.rounding is not None:
            yield (
                f"The encoder is stored in float16: its embeddings are within {self.rounding:.1e} "
                "of those of the float32 that was trained."
            )

    @property
    def doubts(self) -> tuple[str, ...]:
        """What a reader must be warned of: where no real radiograph had a part."""
        proved = () if "film" in self.pictures else (NO_FILMS,)
        return proved + tuple(doubt for added in self._added for doubt in added.doubts)

    @property
    def _added(self) -> tuple[IntegerPictures | PlanPictures, ...]:
        """Of the variants that were added to the bundle."""
        return tuple(added for added in (self.integers, self.plans) if added is not None)

    @property
    def refused(self) -> tuple[RefusedVariant, ...]:
        """What no engine may offer of this bundle."""
        failed = (result.refusal for result in self.results if not result.passed)
        return (*failed, *self.unproved)


def variant_of(entry: RefusedVariant) -> Variant:
    """What an entry of the manifest is about."""
    return entry.graph, entry.engine, entry.precision


def _counts(pictures: Mapping[str, int]) -> str:
    """In words: ``64 films, 24 phantoms, 9 adversarial ones``."""
    named = ", ".join(f"{count} {kind}s" for kind, count in pictures.items())
    return named.replace("adversarials", "adversarial ones")


def add_results(
    folder: Path, results: Sequence[GraphParity], pictures: IntegerPictures | PlanPictures
) -> None:
    """Put what was proved of a variant into a bundle's report and card.

    Args:
        folder: A copy of the bundle; earlier results of the same variant are replaced, and with
            integer variants those of all that there were.
        results: Of the variant.
        pictures: What it was made with.
    """
    report = Verification.model_validate_json((folder / FILE).read_bytes())
    new = {result.variant for result in results}
    integer = isinstance(pictures, IntegerPictures)
    kept = [
        result
        for result in report.results
        if result.variant not in new and not (integer and result.precision == "int8")
    ]
    open_still = [entry for entry in report.unproved if variant_of(entry) not in new]
    whole = report.model_copy(
        update={
            "results": (*kept, *results),
            "unproved": tuple(open_still),
            "integers" if integer else "plans": pictures,
        }
    )
    (folder / FILE).write_text(whole.model_dump_json(indent=2) + "\n", encoding="utf-8")
    card = (folder / CARD).read_text(encoding="utf-8")
    (folder / CARD).write_text(with_section(card, ENGINES, bullets(whole.statements)), "utf-8")


def proved(folder: Path) -> tuple[str, ...]:
    """What the card of the bundle in a folder says of its engines; nothing without a report."""
    path = folder / FILE
    if not path.is_file():
        return ()
    return Verification.model_validate_json(path.read_bytes()).statements
