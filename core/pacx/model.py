"""``pacx.load()``: a bundle on an engine, answering questions about radiographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar, get_args, overload

import numpy as np
from numpy.typing import NDArray

from pacx.anatomy import Anatomy, measure_anatomy
from pacx.bundle import DEFAULT, Bundle, open_bundle, resolve
from pacx.engines import Engine, open_engine
from pacx.engines.protocol import EngineName, Precision, methods_of
from pacx.errors import EngineError, MalformedRequest, UnknownMethod, UnknownTarget
from pacx.explanations import DIFFERENTIATING, TARGETED, UNSIGNED, EngineMethod, Question
from pacx.findings import read_findings, read_values, target_index
from pacx.interpretation import FilmFacts, judge, measured_cardiomegaly, warnings_of
from pacx.manifest import Manifest
from pacx.masks import Mask
from pacx.measures import silhouette_focus
from pacx.novelty import read_novelty
from pacx.preprocessing import Geometry, ModelInput, PreprocessingSpec, normalise, prepare
from pacx.radiograph import Radiograph
from pacx.reading import read
from pacx.results import (
    EstimatedValue,
    Explanation,
    ExplanationMethod,
    Finding,
    Prediction,
    ReadOuts,
)

Readable: TypeAlias = str | Path | bytes | Radiograph | NDArray[np.generic]
_Answer = TypeVar("_Answer", Finding, EstimatedValue)
UNKNOWN_FACTS = FilmFacts()
_SINGLE = (str, Path, bytes, Radiograph, np.ndarray)
_ACCEPTED = (
    "Give a path, the bytes of a file, a Radiograph, or an array [rows, columns] with air dark "
    "(unsigned integers, or floats in [0, 1]); to all but explain also a list of them."
)
METHODS: tuple[ExplanationMethod, ...] = get_args(ExplanationMethod)


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """What the ``predict`` graph computes for a batch; every array is float32.

    Attributes:
        embedding: ``[N, D]``, the class token after the final norm.
        tokens: ``[N, T, D]``, the patch tokens after the final norm.
        logits: ``[N, C]``, in the order of the manifest's labels; C is 0 without heads.
        rollout: ``[N, grid_rows, grid_columns]``.
        last_layer: ``[N, grid_rows, grid_columns]``.
        masks: ``[N, 3, side, side]``, logits in the order of ``STRUCTURES``; None where the
            bundle has no anatomy decoder.
    """

    embedding: NDArray[np.float32]
    tokens: NDArray[np.float32]
    logits: NDArray[np.float32]
    rollout: NDArray[np.float32]
    last_layer: NDArray[np.float32]
    masks: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.embedding)

    def __getitem__(self, index: int) -> Outputs:
        """One image's outputs, still with a leading axis of length 1."""
        row = slice(index, index + 1)
        return Outputs(
            self.embedding[row],
            self.tokens[row],
            self.logits[row],
            self.rollout[row],
            self.last_layer[row],
            None if self.masks is None else self.masks[row],
        )


class Model:
    """A bundle that has been opened, verified and put on an engine.

    Safe to use from several threads. ``x`` is always a path, the bytes of a file, a
    ``Radiograph``, or an array as ``Radiograph.from_array`` takes it; where a list is given, a
    list is returned.
    """

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        self.bundle = bundle
        self.engine = engine
        self._novelty = read_novelty(bundle)

    @property
    def manifest(self) -> Manifest:
        """What the bundle says about itself."""
        return self.bundle.manifest

    @property
    def sha256(self) -> str:
        """Hash of the manifest, which holds the hashes of all other files."""
        return self.bundle.sha256

    @property
    def spec(self) -> PreprocessingSpec:
        """How the model wants its input."""
        return self.manifest.input

    def run(self, pixels: NDArray[np.float32]) -> Outputs:
        """Run the ``predict`` graph on prepared pictures.

        Args:
            pixels: float32 ``[N, size, size]`` in [0, 1], not normalised.

        Raises:
            EngineError: The engine failed, or returned another number of rows.
            NonFiniteOutput: An output holds NaN or infinity.
        """
        return self.run_normalised(normalise(pixels, self.spec))

    def run_normalised(self, pixel_values: NDArray[np.float32]) -> Outputs:
        """Run the ``predict`` graph on its own input, float32 ``[N, 3, size, size]``.

        Raises:
            EngineError: The engine failed, or returned another number of rows.
            NonFiniteOutput: An output holds NaN or infinity.
        """
        values = self.engine.run("predict", {"pixel_values": pixel_values})
        outputs = Outputs(
            values["embedding"],
            values["tokens"],
            values.get("logits", np.empty((len(pixel_values), 0), dtype=np.float32)),
            values["rollout"],
            values["last_layer"],
            values.get("masks"),
        )
        if len(outputs) != len(pixel_values):
            raise EngineError("The engine returned another number of rows than it was given.")
        return outputs

    def interpret(
        self, row: Outputs, geometry: Geometry, facts: FilmFacts = UNKNOWN_FACTS
    ) -> Prediction:
        """Say what one image's outputs mean.

        Args:
            row: One image's outputs.
            geometry: The way from the model's input to the original picture.
            facts: What is known about the film besides its pixels.
        """
        anatomy = self._anatomy(row, geometry, facts)
        quality = judge(row.embedding[0], anatomy, self._novelty, facts.view)
        findings, read_out_findings = _apart(read_findings(row.logits[0], self.manifest))
        values, read_out_values = _apart(read_values(row.logits[0], self.manifest))
        return Prediction(
            findings=findings + self._measured(anatomy, facts),
            embedding=row.embedding[0],
            rollout=row.rollout[0],
            last_layer=row.last_layer[0],
            geometry=geometry,
            anatomy=anatomy,
            quality=quality,
            warnings=warnings_of(anatomy, quality),
            values=values,
            read_outs=ReadOuts(findings=read_out_findings, values=read_out_values),
        )

    def _anatomy(self, row: Outputs, geometry: Geometry, facts: FilmFacts) -> Anatomy | None:
        if row.masks is None:
            return None
        return measure_anatomy(row.masks[0], geometry, spacing_mm=facts.spacing_mm, view=facts.view)

    def _measured(self, anatomy: Anatomy | None, facts: FilmFacts) -> tuple[Finding, ...]:
        spec = self.manifest.anatomy
        if anatomy is None or spec is None:
            return ()
        finding = measured_cardiomegaly(anatomy, facts, spec.ratio_deviation)
        trained = {head.label for head in self.manifest.findings}
        return (finding,) if finding is not None and finding.label not in trained else ()

    @property
    def methods(self) -> tuple[ExplanationMethod, ...]:
        """The explanation methods that this bundle has the graphs for; the default first."""
        differentiates = "explain" in self.manifest.graphs
        segments = any(output.name == "masks" for output in self.manifest.graphs["predict"].outputs)
        return tuple(
            method
            for method in METHODS
            if (self.manifest.labels or method not in TARGETED)
            and (differentiates or method not in DIFFERENTIATING)
            and (segments or method != "region_ablation")
        )

    def explain_from(
        self,
        row: Outputs,
        prepared: ModelInput,
        method: str,
        target: str | None = None,
        versus: str | None = None,
    ) -> Explanation:
        """Explain one image, given its outputs; targeted methods run the engine again.

        Args:
            row: One image's outputs.
            prepared: What they were computed from.
            method: One of ``methods``, or one that only the engine has.
            target: Label of a finding; attention methods take none, all others need one.
            versus: Label of another finding that the target is compared with.

        Raises:
            UnknownMethod: No such method, or a target for a method that has none.
            UnknownTarget: No such finding, or none for a method that needs one.
            EngineError: The engine failed, or does not offer the method's graph.
        """
        targeted = self._targeted()
        if method not in targeted and method not in self.methods:
            known = ", ".join((*self.methods, *methods_of(self.engine)))
            raise UnknownMethod(f"There is no such method. Known ones: {known}.")
        anatomy = None if row.masks is None else measure_anatomy(row.masks[0], prepared.geometry)
        masks = None if anatomy is None else anatomy.masks
        if method in targeted:
            grid = targeted[method].explain(self._question(prepared, masks, target, versus))
        else:
            grid = _attention(row, method, target)
        return Explanation(
            method=method,
            target=target,
            versus=versus,
            grid=grid,
            signed=method in targeted and targeted[method].signed,
            geometry=prepared.geometry,
            focus=silhouette_focus(grid, anatomy.masks) if anatomy and anatomy.plausible else None,
        )

    def _targeted(self) -> dict[str, EngineMethod]:
        """What explains a finding: of this bundle's graphs, and of the engine alone."""
        offered: dict[str, EngineMethod] = {
            name: EngineMethod(explain=TARGETED[name], signed=name not in UNSIGNED)
            for name in self.methods
            if name in TARGETED
        }
        return offered | dict(methods_of(self.engine))

    def _question(
        self, prepared: ModelInput, masks: Mask | None, target: str | None, versus: str | None
    ) -> Question:
        if target is None:
            raise UnknownTarget("This method explains one finding: name a target.")
        contrast = np.zeros(len(self.manifest.labels), dtype=np.float32)
        contrast[target_index(self.manifest, target)] += 1
        if versus is not None:
            contrast[target_index(self.manifest, versus)] -= 1
        return Question(
            engine=self.engine,
            spec=self.spec,
            grid=self.manifest.encoder.grid,
            pixels=prepared.pixels,
            contrast=contrast,
            masks=masks,
        )

    @overload
    def predict(self, x: Readable) -> Prediction: ...
    @overload
    def predict(self, x: Sequence[Radiograph] | Sequence[Path]) -> list[Prediction]: ...
    @overload
    def predict(self, x: list[str] | list[bytes] | list[Readable]) -> list[Prediction]: ...

    def predict(self, x: Readable | Sequence[Readable]) -> Prediction | list[Prediction]:
        """Findings, embedding and attention of one radiograph, or of each in a list.

        Raises:
            InputError: A file cannot be read or used.
            EngineError: The engine failed.
        """
        answers = [self._predict_one(item) for item in _items(x)]
        return answers[0] if isinstance(x, _SINGLE) else answers

    def embed(self, x: Readable | Sequence[Readable]) -> NDArray[np.float32]:
        """Embeddings float32 ``[N, D]``; one radiograph gives ``N`` = 1.

        Raises:
            InputError: A file cannot be read or used.
            EngineError: The engine failed.
        """
        rows = [self.run(self.prepare(item).pixels[np.newaxis]).embedding for item in _items(x)]
        if not rows:
            return np.empty((0, self.manifest.encoder.embedding_dimension), dtype=np.float32)
        return np.concatenate(rows)

    def explain(
        self,
        x: Readable,
        *,
        method: str = "rollout",
        target: str | None = None,
        versus: str | None = None,
    ) -> Explanation:
        """Where the model looked in one radiograph; see :meth:`explain_from`.

        Raises:
            InputError: The file cannot be read or used.
            UnknownMethod: No such method.
            UnknownTarget: No such finding.
            EngineError: The engine failed.
        """
        prepared = self.prepare(x)
        outputs = self.run(prepared.pixels[np.newaxis])
        return self.explain_from(outputs, prepared, method, target, versus)

    def prepare(self, x: Readable) -> ModelInput:
        """Read a radiograph where needed and bring it onto the model's grid."""
        return prepare(_radiograph(x), self.spec)

    def close(self) -> None:
        """Free the engine."""
        self.engine.close()

    def _predict_one(self, x: Readable) -> Prediction:
        radiograph = _radiograph(x)
        prepared = prepare(radiograph, self.spec)
        outputs = self.run(prepared.pixels[np.newaxis])
        return self.interpret(outputs, prepared.geometry, FilmFacts.of(radiograph))


def _apart(answers: tuple[_Answer, ...]) -> tuple[tuple[_Answer, ...], tuple[_Answer, ...]]:
    """What every answer holds, and the read-outs."""
    read_outs = tuple(answer for answer in answers if answer.group == "read_out")
    return tuple(answer for answer in answers if answer.group != "read_out"), read_outs


def _items(x: Readable | Sequence[Readable]) -> Sequence[Readable]:
    if isinstance(x, _SINGLE):
        return [x]
    if isinstance(x, list | tuple):
        return x
    raise MalformedRequest(_ACCEPTED)


def _radiograph(x: Readable) -> Radiograph:
    if isinstance(x, Radiograph):
        return x
    if isinstance(x, np.ndarray):
        return Radiograph.from_array(x)
    if isinstance(x, str | Path | bytes):
        return read(x)
    raise MalformedRequest(_ACCEPTED)


def _attention(row: Outputs, method: str, target: str | None) -> NDArray[np.float32]:
    if target is not None:
        raise UnknownMethod("This method is the same for every finding: leave out the target.")
    grid: NDArray[np.float32] = (row.rollout if method == "rollout" else row.last_layer)[0]
    return grid


def load(
    bundle: str | Path | None = None,
    *,
    engine: EngineName | str = "auto",
    precision: Precision | None = None,
    device: str = "cpu",
    threads: int | None = None,
) -> Model:
    """Open a bundle and put it on an engine.

    Args:
        bundle: Directory of a bundle, or the name of one that comes with PaCX; without it,
            the bundled model.
        engine: One of ``pacx.engines.ENGINES``, or ``auto``; see ``pacx.engines.open_engine``.
        precision: Of the arithmetic; None lets the engine take the fastest verified one.
        device: ``cpu``, ``cuda``, ..., or Triton's address; one that is not there is an error.
        threads: Threads of the engine; None leaves the choice to it.

    Raises:
        BundleError: The bundle is missing, damaged or of an unknown schema.
        EngineUnavailable: The engine or device is not there.
        ExtraMissing: The engine's package is not installed.
    """
    opened = open_bundle(resolve(DEFAULT if bundle is None else bundle))
    return Model(
        opened,
        open_engine(opened, engine, device=device, precision=precision, threads=threads),
    )
