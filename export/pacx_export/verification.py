"""Parity gates: no artefact is written that computes something else than the model.

Every graph runs on every engine and precision that this machine has, in every batch size, on
real films (where they are given), phantoms and adversarial pictures, against torch in float32
with the very weights that the bundle stores. The tolerances are ``pacx.engines.parity.LIMITS``.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from pacx.bundle import Bundle
from pacx.engines import Engine, Precision, open_ungated
from pacx.engines.parity import LIMITS, Measure, decisions, distances
from pacx.engines.protocol import Tensor
from pacx.errors import BundleError, EngineUnavailable, ExtraMissing
from pacx.manifest import GraphName, GraphSpec, RefusedVariant
from pacx.model_card import CARD, with_section
from pacx_export.card import ENGINES, bullets
from pacx_export.graphs import BATCH, Graph
from pacx_export.reference import graph_inputs

FILE = "verification.json"
VARIANTS: tuple[tuple[str, Precision], ...] = (
    ("onnxruntime", "f32"),
    ("openvino", "bf16"),
    ("openvino", "f32"),
)
KNOWN_WRONG = frozenset({("explain", "openvino")})
"""Graph and engine that are known to disagree in float32; not offered, but no reason to stop."""
UNPROVED = "not proved, because the machine that made the bundle does not compute in it"
NO_FILMS = "**No real radiograph was among what the bundle was proved on.**"
BATCHES = range(1, 9)
"""Sizes that the pictures are run in, in turn, so that every position occurs in every size."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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
    def variant(self) -> tuple[GraphName, str, Precision]:
        """Graph, engine and precision."""
        return self.graph, self.engine, self.precision

    @property
    def refusal(self) -> RefusedVariant:
        """The manifest's entry where it did not pass."""
        over = [item for item in self.outputs if item.worst > item.limit]
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


def _counts(pictures: Mapping[str, int]) -> str:
    """In words: ``64 films, 24 phantoms, 9 adversarial ones``."""
    named = ", ".join(f"{count} {kind}s" for kind, count in pictures.items())
    return named.replace("adversarials", "adversarial ones")


def verify(bundle: Bundle, graphs: Sequence[Graph], pictures: Mapping[str, Tensor]) -> Verification:
    """Compare every graph with torch on every engine and precision of this machine.

    Args:
        bundle: Whose files to run.
        graphs: The modules that its graphs were made from.
        pictures: By kind, each float32 ``[N, S, S]`` in [0, 1].

    Raises:
        BundleError: A graph differs by more than the tolerance, or no engine is installed that
            computes in float32.
        EngineError: An engine could not run a graph.
    """
    everything = np.concatenate(list(pictures.values()))
    wanted = {graph.name: _torch_outputs(bundle, graph, everything) for graph in graphs}
    results: list[GraphParity] = []
    unproved: list[RefusedVariant] = []
    for name, precision in VARIANTS:
        try:
            engine = open_ungated(bundle, name, precision=precision, threads=1)
        except ExtraMissing:
            continue
        except EngineUnavailable:
            unproved += _unproved(bundle, name, precision)
            continue
        results += [
            compare_graph(bundle, engine, graph.name, everything, wanted[graph.name])
            for graph in graphs
        ]
        engine.close()
    _require(results, graphs)
    return Verification(
        processor=platform.processor() or platform.machine(),
        pictures={kind: len(batch) for kind, batch in pictures.items()},
        results=tuple(results),
        unproved=tuple(unproved),
    )


def add_results(
    folder: Path, results: Sequence[GraphParity], pictures: IntegerPictures | PlanPictures
) -> None:
    """Put what was proved of a variant into a bundle's report and card.

    Args:
        folder: A copy of the bundle; earlier results of the same variant are replaced.
        results: Of the variant.
        pictures: What it was made with.
    """
    report = Verification.model_validate_json((folder / FILE).read_bytes())
    new = {result.variant for result in results}
    kept = [result for result in report.results if result.variant not in new]
    open_still = [
        entry
        for entry in report.unproved
        if (entry.graph, entry.engine, entry.precision) not in new
    ]
    whole = report.model_copy(
        update={
            "results": (*kept, *results),
            "unproved": tuple(open_still),
            "plans" if isinstance(pictures, PlanPictures) else "integers": pictures,
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


def _unproved(bundle: Bundle, engine: str, precision: Precision) -> Iterator[RefusedVariant]:
    """Entries for all graphs on what is installed and cannot be run here."""
    for graph in bundle.manifest.graphs:
        yield RefusedVariant(graph=graph, engine=engine, precision=precision, reason=UNPROVED)


def _torch_outputs(bundle: Bundle, graph: Graph, pictures: Tensor) -> dict[str, Tensor]:
    return _run_all(bundle, graph.name, pictures, graph.answers)


def engine_outputs(
    bundle: Bundle, engine: Engine, graph: GraphName, pictures: Tensor
) -> dict[str, Tensor]:
    """Run a graph on pictures ``[N, S, S]`` in every batch size in turn; outputs by name."""
    return _run_all(bundle, graph, pictures, lambda inputs: engine.run(graph, inputs))


def _run_all(
    bundle: Bundle,
    graph: GraphName,
    pictures: Tensor,
    run: Callable[[dict[str, Tensor]], dict[str, Tensor]],
) -> dict[str, Tensor]:
    spec, shape = bundle.manifest.input, bundle.manifest.graphs[graph]
    parts = [
        run(graph_inputs(shape, pictures[batch], spec, target=batch.start))
        for batch in _batches(shape, len(pictures))
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _batches(graph: GraphSpec, count: int) -> Iterator[slice]:
    sizes = cycle(BATCHES if graph.inputs[0].shape[0] == BATCH else [1])
    start = 0
    while start < count:
        stop = start + next(sizes)
        yield slice(start, min(stop, count))
        start = stop


def compare_graph(
    bundle: Bundle,
    engine: Engine,
    graph: GraphName,
    pictures: Tensor,
    wanted: Mapping[str, Tensor],
) -> GraphParity:
    """Run a graph on an engine and compare it with the outputs that are wanted."""
    actual = engine_outputs(bundle, engine, graph, pictures)
    outputs = tuple(_outputs(bundle, engine.precision, actual, wanted))
    total, flipped = _flips(bundle, actual, wanted)
    limits = LIMITS[engine.precision]
    return GraphParity(
        graph=graph,
        engine=engine.name,
        precision=engine.precision,
        outputs=outputs,
        decisions=total,
        flipped_decisions=flipped,
        passed=all(item.worst <= item.limit for item in outputs)
        and flipped <= limits.decisions * total,
    )


def _outputs(
    bundle: Bundle, precision: Precision, actual: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> Iterator[OutputParity]:
    limits = LIMITS[precision]
    for output, expected in wanted.items():
        found = distances(output, actual[output], expected, bundle.manifest)
        for measure, values in found.items():
            yield OutputParity(
                output=output,
                measure=measure,
                worst=float(values.max()),
                mean=float(values.mean()),
                limit=limits.of(output, measure),
            )


def _flips(
    bundle: Bundle, actual: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> tuple[int, int]:
    if "logits" not in wanted:
        return 0, 0
    left, right = (decisions(values["logits"], bundle.manifest) for values in (actual, wanted))
    return left.size, int((left != right).sum())


def _require(results: Sequence[GraphParity], graphs: Sequence[Graph]) -> None:
    """In float32 every engine must be exact; a lower precision may fail and is then not offered."""
    exact = {result.graph for result in results if result.passed and result.precision == "f32"}
    for result in results:
        known = (result.graph, result.engine) in KNOWN_WRONG
        if result.precision == "f32" and not result.passed and not known:
            raise BundleError(f"Refused: {result}")
    for graph in graphs:
        if graph.name not in exact:
            raise BundleError(f"Refused: no engine here can prove {graph.name} in float32.")
