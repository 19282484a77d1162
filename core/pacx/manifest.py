"""The manifest of a bundle: what it holds, what it was made from, and what it may be used for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from pacx.preprocessing import PreprocessingSpec

SCHEMA_VERSION: Literal[1] = 1

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[
    str,
    StringConstraints(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.\-]*(/[A-Za-z0-9_][A-Za-z0-9_.\-]*)*$", max_length=255
    ),
]
BundleName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.\-]{0,63}$")]
BundleVersion = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+){0,2}$")]
Group = Literal["radiology", "physiology", "read_out"]
"""A read-out, such as view or sex, shows what else an embedding tells; it is no finding, and
answers hold it only where it is asked for."""
GraphName = Literal["encode", "predict", "explain"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TensorSpec(_Frozen):
    """One input or output of a graph; a string in ``shape`` is a dynamic axis."""

    name: str
    dtype: Literal["float32"] = "float32"
    shape: tuple[int | str, ...]


class GraphSpec(_Frozen):
    """One ONNX graph; its weights are external data in the bundle's safetensors files."""

    file: FileName
    opset: int
    ir_version: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class Interval(_Frozen):
    """A measured value with its 95 % confidence interval."""

    value: float
    low: float
    high: float


class FindingSpec(_Frozen):
    """One answer of a head: how a logit becomes a probability and a decision.

    ``probability = sigmoid(logit / temperature)``; ``positive = probability >= threshold``.
    """

    label: str = Field(min_length=1)
    group: Group
    threshold: float = Field(ge=0, le=1)
    temperature: float = Field(1.0, gt=0, description="Fitted on held-out predictions.")
    calibrated: bool = Field(description="Whether the temperature was fitted.")
    simulated: bool = Field(description="Whether the labels came from simulated physiology.")
    training_positives: int | None = Field(
        None, ge=1, description="Positive films the head was trained on; null where not known."
    )
    training_films: int | None = Field(
        None, ge=1, description="Films of known truth it was trained on; null where not known."
    )
    validation_auroc: Interval | None = Field(None, description="Reported once, on held-out films.")

    @property
    def training_counts(self) -> str:
        """For tables, such as ``291 of 533``; a dash where nothing is known."""
        positives = "-" if self.training_positives is None else str(self.training_positives)
        return positives if self.training_films is None else f"{positives} of {self.training_films}"


class ValueSpec(_Frozen):
    """One quantity that a head estimates: how a logit becomes a value with its interval.

    A logit is the estimate in standard deviations of the training films, so that
    ``value = mean + deviation * logit``, and the exponential of that where ``logarithm`` is true.
    """

    label: str = Field(min_length=1)
    group: Group
    unit: str | None = Field(None, description="As in the training table; null: none, or unknown.")
    mean: float
    deviation: float = Field(gt=0)
    logarithm: bool = Field(False, description="Whether the natural logarithm was learnt.")
    residuals: tuple[float, float] = Field(
        description="2.5 % and 97.5 % quantiles of truth minus estimate, in standard deviations, "
        "on patients that the fit had not seen; they make the interval of a value."
    )
    error: Interval = Field(description="Mean absolute out-of-fold error, in the value's unit.")
    determination: Interval = Field(description="Out-of-fold R2 of what was learnt.")
    simulated: bool = Field(description="Whether the values came from simulated physiology.")
    training_films: int = Field(ge=1, description="Films with a known value.")


class HeadSpec(_Frozen):
    """A head on the embedding; its logits stand in this order in the graph's ``logits``.

    ``findings`` of a multilabel head are independent, those of a multiclass head exclude each
    other; a regression head has ``values`` instead.
    """

    name: str
    task: Literal["multilabel", "multiclass", "regression"] = "multilabel"
    hidden: int | None = Field(None, ge=1, description="Width of the hidden layer; null: linear.")
    findings: tuple[FindingSpec, ...] = ()
    values: tuple[ValueSpec, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """What its logits stand for, in order."""
        return tuple(column.label for column in self.columns)

    @property
    def columns(self) -> tuple[FindingSpec | ValueSpec, ...]:
        """Its findings or values."""
        return self.findings or self.values

    @model_validator(mode="after")
    def _of_one_kind(self) -> HeadSpec:
        regression = self.task == "regression"
        if bool(self.values) != regression or bool(self.findings) == regression:
            raise ValueError("a regression head has values, every other head findings")
        return self


class Source(_Frozen):
    """One data set that the model was made from."""

    name: str
    use: str = Field(description="Which part of the model it made.")
    films: int | None = None
    patients: int | None = None
    licence: str
    citation: str
    simulated: bool = Field(False, description="Whether it is simulated physiology.")


class Teacher(_Frozen):
    """A frozen network of another modality, whose embeddings the encoder was distilled from."""

    modality: Literal["ecg", "labs"]
    sha256: Sha256 = Field(description="Of its weights, as its run holds them.")
    initialisation: str
    sources: tuple[Source, ...]
    steps: tuple[str, ...] = Field(description="The commands that made it, in order.")


class Provenance(_Frozen):
    """Where a model comes from."""

    initialisation: str
    sources: tuple[Source, ...]
    teachers: tuple[Teacher, ...] = ()
    steps: tuple[str, ...] = Field(description="The commands that made it, in order.")
    revision: str | None = Field(None, description="Git revision of the code that made it.")
    limitations: tuple[str, ...] = ()

    @property
    def simulated(self) -> bool:
        """Whether it, or a teacher of it, learnt from simulated physiology."""
        taught = (source for teacher in self.teachers for source in teacher.sources)
        return any(source.simulated for source in (*self.sources, *taught))


class EncoderSpec(_Frozen):
    """The shape of the fused vision transformer."""

    architecture: str = Field(description="Its name in timm, such as vit_small_patch16_224.")
    embedding_dimension: int = Field(ge=1, le=65_536)
    depth: int = Field(ge=0, le=1024)
    heads: int = Field(ge=1, le=1024)
    patch_size: int = Field(ge=1, le=2048)
    grid: tuple[Annotated[int, Field(ge=1, le=2048)], Annotated[int, Field(ge=1, le=2048)]]


class FileEntry(_Frozen):
    """Size and checksum of one file of the bundle."""

    sha256: Sha256
    bytes: int = Field(ge=0)


class RefusedVariant(_Frozen):
    """An engine and precision that got a graph wrong when the bundle was verified."""

    graph: GraphName
    engine: str
    precision: str
    reason: str


class AnatomySpec(_Frozen):
    """How well masks of heart and lungs were found on patients that no fold was fitted on.

    The masks themselves are the output ``masks`` of the graph ``predict``. Intervals are 95 %
    bootstrap intervals over patients.
    """

    films: int
    heart_dice: Interval
    right_lung_dice: Interval
    left_lung_dice: Interval
    ratio_films: int = Field(description="Films whose outline carries no note.")
    ratio_error: Interval | None = Field(
        description="Mean absolute error of the cardiothoracic ratio."
    )
    ratio_bias: Interval | None = Field(description="Mean of measured minus outlined ratio.")
    ratio_deviation: float | None = Field(ge=0, description="Standard deviation of the error.")
    ratio_missing: int = Field(description="Films on which no ratio could be measured.")


class NoveltySpec(_Frozen):
    """When a picture counts as unlike the chest films that a model learnt from."""

    threshold: float = Field(gt=0, description="Mahalanobis distance of the embedding.")
    false_alarm_rate: float = Field(
        gt=0, lt=1, description="Share of left-out chest films beyond the threshold."
    )
    films: int = Field(description="Chest films that it was fitted on.")


class ReferenceSpec(_Frozen):
    """Inputs and expected outputs, replayed by ``pacx bundle verify`` and at server start.

    ``file`` is a safetensors file with the tensors ``<graph>.input.<name>`` and
    ``<graph>.output.<name>``, computed by torch in float32.
    """

    file: FileName


class Manifest(_Frozen):
    """``manifest.json``; its own sha256 is ``model.sha256`` in every answer."""

    schema_version: Literal[1] = SCHEMA_VERSION
    name: BundleName
    version: BundleVersion
    created: str = Field(description="ISO 8601 date.")
    licence: str
    intended_use: str
    simulated_physiology: bool
    provenance: Provenance
    encoder: EncoderSpec
    input: PreprocessingSpec
    graphs: dict[GraphName, GraphSpec]
    heads: tuple[HeadSpec, ...]
    anatomy: AnatomySpec | None = None
    novelty: NoveltySpec | None = None
    reference: ReferenceSpec
    refused: tuple[RefusedVariant, ...] = ()
    files: dict[FileName, FileEntry]

    @property
    def findings(self) -> tuple[FindingSpec, ...]:
        """All findings, in the order of the first columns of ``logits``."""
        return tuple(finding for head in self.heads for finding in head.findings)

    @property
    def answered(self) -> tuple[FindingSpec, ...]:
        """The findings that every answer holds: all but read-outs."""
        return tuple(finding for finding in self.findings if finding.group != "read_out")

    @property
    def values(self) -> tuple[ValueSpec, ...]:
        """All values, in the order of the columns of ``logits`` that follow the findings'."""
        return tuple(value for head in self.heads for value in head.values)

    @property
    def labels(self) -> tuple[str, ...]:
        """What every column of ``logits`` stands for."""
        return tuple(label for head in self.heads for label in head.labels)

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        labels = self.labels
        if len(labels) != len(set(labels)):
            raise ValueError("two findings have the same label")
        kinds = [head.task == "regression" for head in self.heads]
        if kinds != sorted(kinds):
            raise ValueError("regression heads follow all others")
        for needed in [spec.file for spec in self.graphs.values()] + [self.reference.file]:
            if needed not in self.files:
                raise ValueError(f"{needed} is named but not listed under files")
        logits = [t for g in self.graphs.values() for t in g.outputs if t.name == "logits"]
        if any(tensor.shape[-1] != len(labels) for tensor in logits):
            raise ValueError("the number of findings differs from the width of logits")
        if self.graphs and bool(labels) != bool(logits):
            raise ValueError("there are findings without logits, or logits without findings")
        simulated = any(column.simulated for head in self.heads for column in head.columns)
        if simulated and not self.simulated_physiology:
            raise ValueError("a simulated finding needs simulated_physiology to be true")
        return self
