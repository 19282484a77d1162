"""The shapes of all answers; names are the contract of the HTTP interface."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from pacx.manifest import Group
from pacx.radiograph import Source
from pacx.results import ExplanationMethod

Pooling = Literal["cls", "mean", "tokens"]
Space = Literal["encoder"]
Include = Literal["embedding", "attention", "anatomy", "read_outs"]

Grid = list[list[float]]
Vector = list[float]
Points = list[tuple[float, float]]


class Schema(BaseModel):
    """Base of all answers: frozen, and NaN never leaves the server."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Problem(BaseModel):
    """Every error, as RFC 9457 describes it."""

    type: str = Field(description="A URI reference that names the kind of problem.")
    title: str = Field(description="The same for every occurrence.")
    status: int = Field(description="The HTTP status code.")
    detail: str = Field(description="What happened here, and what would be accepted.")
    code: str = Field(description="Stable, machine-readable name of the problem.")
    request_id: str = Field(description="Also in the header x-request-id.")


class WarningNote(Schema):
    """Something a reader should know about an image."""

    code: str
    message: str


class ModelIdentity(Schema):
    """Which model answered."""

    name: str
    version: str
    sha256: str = Field(description="Of the bundle's manifest.json, which holds all other hashes.")
    engine: str
    precision: str
    simulated_physiology: bool = Field(
        description="Whether any part of it was trained on simulated physiology."
    )


class ModelOffer(ModelIdentity):
    """A model that is being served, and what it can be asked for."""

    methods: tuple[ExplanationMethod, ...] = Field(
        description="For `/explanations`, the default first."
    )


class ImageFacts(Schema):
    """What is known about an image; nothing about the patient."""

    rows: int = Field(description="Height, pixels.")
    columns: int = Field(description="Width, pixels.")
    modality: str | None = Field(description="DICOM modality, if known.")
    view: str | None = Field(description="PA, AP or LATERAL, if known.")
    spacing_mm: tuple[float, float] | None = Field(
        description="Distance between rows and between columns, mm; null where unknown."
    )
    source: Source = Field(description="The format that it was read from; never a file name.")


class FindingAnswer(Schema):
    """One finding."""

    label: str
    group: Group
    probability: float = Field(ge=0, le=1, description="Calibrated where `calibrated` is true.")
    threshold: float = Field(ge=0, le=1)
    positive: bool = Field(description="probability >= threshold")
    calibrated: bool
    simulated: bool = Field(description="Whether its labels came from simulated physiology.")
    measured: bool = Field(
        False, description="Whether it comes from a measurement on the film and from no head."
    )


class ValueAnswer(Schema):
    """One estimated quantity, such as a laboratory value."""

    label: str
    group: Group
    value: float
    low: float = Field(description="2.5 % of left-out patients were lower than this.")
    high: float = Field(description="2.5 % of left-out patients were higher than this.")
    unit: str | None = Field(description="Null: none, or unknown.")
    simulated: bool = Field(description="Whether it was learnt from simulated physiology.")


class Contours(Schema):
    """Closed polygons, each a list of [column, row] in pixels of the picture."""

    heart: list[Points]
    right_lung: list[Points] = Field(description="The patient's right, left in the picture.")
    left_lung: list[Points]


class RatioLines(Schema):
    """The two lines of the cardiothoracic ratio, each two points [column, row]."""

    heart: Points
    chest: Points


class AnatomyAnswer(Schema):
    """Heart and lungs; measurements are null where they are implausible."""

    cardiothoracic_ratio: float | None = Field(
        description="Width of the heart over inner width of the chest, after Danzer (1919)."
    )
    heart_area_mm2: float | None = Field(description="Null where spacing is unknown, too.")
    lung_area_mm2: float | None = Field(description="Both lungs together.")
    right_lung_area_mm2: float | None
    left_lung_area_mm2: float | None
    contours: Contours
    lines: RatioLines | None


class QualityAnswer(Schema):
    """Whether the picture is what the model is made for."""

    is_frontal_chest: bool | None = Field(
        description="Whether heart and lungs look like those of a frontal film; null: not judged."
    )
    out_of_distribution: bool | None = Field(
        description="Whether it is unlike the films that the model learnt from; null: not judged."
    )
    score: float | None = Field(description="Distance from those films, 1 at the threshold.")


class Focus(Schema):
    """Share of the map in a region over the region's share of the picture; chance is 1."""

    heart: float | None
    lungs: float | None
    outside: float | None = Field(description="What is neither heart, nor lung, nor between them.")


class Attention(Schema):
    """Where the class token looked."""

    method: ExplanationMethod
    grid: Grid = Field(description="[rows][columns] of patches, covering the whole picture.")
    focus: Focus | None = Field(description="Where the model has an anatomy decoder.")
    warnings: list[WarningNote] = Field(description="Of the map alone.")


class Timing(Schema):
    """Where the time went, milliseconds."""

    decode: float = Field(ge=0, description="Decoding and resizing, with the way to the process.")
    queue: float = Field(ge=0, description="Waiting for the engine.")
    inference: float = Field(ge=0, description="The batch that this image was in.")
    total: float = Field(ge=0, description="From the request line to the answer.")


class PredictResponse(Schema):
    """Findings of one radiograph."""

    request_id: str
    reference: str | None = Field(description="The caller's form field of that name.")
    model: ModelIdentity
    image: ImageFacts
    findings: list[FindingAnswer]
    values: list[ValueAnswer] = Field(description="Estimates, where the model has such heads.")
    anatomy: AnatomyAnswer | None = Field(
        description="Measurements, where the model has an anatomy decoder."
    )
    quality: QualityAnswer | None = Field(
        description="Quality of the image, where the model judges it."
    )
    embedding: Vector | None = Field(description="On request: the class token, [D].")
    attention: Attention | None = Field(description="On request.")
    warnings: list[WarningNote]
    timing_ms: Timing


class EmbeddingItem(Schema):
    """The embedding of one file, or why there is none."""

    index: int = Field(description="Position of the file in the request.")
    embedding: Vector | list[Vector] | None = Field(
        description="[D], or [T][D] with pooling=tokens; null where the file cannot be used."
    )
    warnings: list[WarningNote]
    error: Problem | None = None


class EmbeddingsResponse(Schema):
    """Embeddings of one or many radiographs."""

    request_id: str
    reference: str | None = Field(description="The caller's form field of that name.")
    model: ModelIdentity
    pooling: Pooling
    space: Space
    dimension: int
    embeddings: list[EmbeddingItem]
    timing_ms: Timing


class ExplanationResponse(Schema):
    """Where the model looked in one radiograph."""

    request_id: str
    reference: str | None = Field(description="The caller's form field of that name.")
    model: ModelIdentity
    image: ImageFacts
    method: ExplanationMethod
    target: str | None
    versus: str | None = Field(description="The finding that the target was compared with.")
    grid: Grid = Field(description="[rows][columns] of patches, covering the whole picture.")
    signed: bool = Field(description="Whether negative values speak against the target.")
    focus: Focus | None = Field(description="Where the model has an anatomy decoder.")
    anatomy: AnatomyAnswer | None = Field(
        description="Outlines and measurements, for viewers that draw themselves."
    )
    warnings: list[WarningNote]
    timing_ms: Timing


class Alive(Schema):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(Schema):
    """Requests are answered."""

    status: Literal["ready"] = "ready"
    models: list[str] = Field(description="Names of the served models.")


class Limits(Schema):
    """What the server takes."""

    max_file_bytes: int
    max_request_bytes: int
    max_files: int
    max_pixels: int
    max_batch: int
    deadline_s: float = Field(description="Seconds from a complete body to the answer.")


class Information(Schema):
    """What runs here."""

    name: Literal["pacx"] = "pacx"
    version: str
    state: Literal["starting", "ready", "draining", "failed"]
    models: list[ModelIdentity]
    limits: Limits
    notice: str = "Research use only, not for clinical use."
