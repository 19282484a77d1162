"""What a server answers, as frozen dataclasses.

Every class may gain fields; none loses or renames one within a major version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

Points: TypeAlias = tuple[tuple[float, float], ...]
"""Points ``(column, row)`` in pixels of the original picture."""
Focus: TypeAlias = Mapping[str, float | None]
"""Of ``heart``, ``lungs`` and ``outside``: a map's share there over the region's share of the
picture, so that 1 is chance; None where the region or the map is empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """Which model answered, and how it was run.

    Attributes:
        name: Name of the bundle.
        version: Version of the bundle.
        sha256: Hash of the bundle's manifest, which holds the hashes of all its files.
        engine: What ran the graphs, such as ``openvino``.
        precision: Of the arithmetic, such as ``bf16``.
        simulated_physiology: Whether the model learnt from simulated physiology.
    """

    name: str
    version: str
    sha256: str
    engine: str | None = None
    precision: str | None = None
    simulated_physiology: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageWarning:
    """Something about an image that did not stop it from being used.

    Attributes:
        code: Stable, machine-readable name, such as ``spacing_unknown``.
        message: One sentence for people.
    """

    code: str
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """Facts about the picture; never about the patient.

    Attributes:
        rows: Height in pixels.
        columns: Width in pixels.
        modality: DICOM modality, or None where unknown.
        view: ``PA``, ``AP``, ``LATERAL``, or None where unknown.
        spacing_mm: Distance between rows and between columns in mm, or None where unknown.
        source: Format of the file: ``dicom``, ``png``, ``jpeg``, ...
    """

    rows: int
    columns: int
    modality: str | None = None
    view: str | None = None
    spacing_mm: tuple[float, float] | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding.

    Attributes:
        label: Name of the finding.
        probability: In [0, 1].
        threshold: In [0, 1]; the finding is positive from here up.
        positive: Whether the probability reaches the threshold.
        group: ``radiology`` or ``physiology``; ``read_out`` where read-outs were asked for.
        calibrated: Whether the probability was calibrated on held-out films.
        simulated: Whether the labels came from simulated physiology.
        measured: Whether it comes from a measurement on the film and from no head.
    """

    label: str
    probability: float
    threshold: float
    positive: bool
    group: str | None = None
    calibrated: bool | None = None
    simulated: bool | None = None
    measured: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimatedValue:
    """One estimated quantity, such as a laboratory value.

    Attributes:
        label: Its name.
        value: The estimate.
        low: Together with ``high`` the 95 % interval of the estimate's error.
        high: The upper end.
        unit: Of all three, or None.
        group: ``radiology`` or ``physiology``; ``read_out`` where read-outs were asked for.
        simulated: Whether it was learnt from simulated physiology.
    """

    label: str
    value: float
    low: float
    high: float
    unit: str | None = None
    group: str | None = None
    simulated: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contours:
    """Closed polygons around heart and lungs, in pixels of the original picture.

    Attributes:
        heart: Polygons of the heart; none where it was not found.
        right_lung: Of the patient's right lung, which is on the left of the picture.
        left_lung: Of the left lung.
    """

    heart: tuple[Points, ...]
    right_lung: tuple[Points, ...]
    left_lung: tuple[Points, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioLines:
    """The two lines of the cardiothoracic ratio, in pixels of the original picture.

    Attributes:
        heart: Both ends of the heart's width.
        chest: Both ends of the chest's.
    """

    heart: Points
    chest: Points


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """What was measured on the heart and the lungs.

    Attributes:
        cardiothoracic_ratio: Width of the heart over width of the thorax.
        heart_area_mm2: Area of the heart's silhouette in mm².
        lung_area_mm2: Area of both lungs in mm².
        right_lung_area_mm2: Area of the right lung of the patient in mm².
        left_lung_area_mm2: Area of the left lung in mm².
        contours: What pictures show as the outlines of heart and lungs.
        lines: What the ratio was measured by, where it was.
    """

    cardiothoracic_ratio: float | None = None
    heart_area_mm2: float | None = None
    lung_area_mm2: float | None = None
    right_lung_area_mm2: float | None = None
    left_lung_area_mm2: float | None = None
    contours: Contours | None = None
    lines: RatioLines | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Whether the picture is one that the model knows how to read.

    Attributes:
        is_frontal_chest: Whether it looks like a frontal chest radiograph.
        out_of_distribution: Whether it differs from what the model was trained on.
        score: The number behind ``out_of_distribution``.
    """

    is_frontal_chest: bool | None = None
    out_of_distribution: bool | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """Where the model looked.

    Attributes:
        method: How the map was made.
        grid: Rows of the map; it covers the whole picture.
        focus: Where the map lies, where heart and lungs were measured.
        warnings: Of the map alone.
    """

    method: str
    grid: tuple[tuple[float, ...], ...]
    focus: Focus | None = None
    warnings: tuple[ImageWarning, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long the server took for each step, in milliseconds."""

    decode: float | None = None
    queue: float | None = None
    inference: float | None = None
    total: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a model says about one radiograph.

    Attributes:
        request_id: The server's name for this request.
        model: Which model answered.
        image: Facts about the picture.
        findings: In the order of the bundle's manifest.
        values: What the model estimates, in that order too.
        anatomy: Measurements, where the model makes them.
        quality: Whether the model knows how to read this picture, where it can tell.
        embedding: Length D, if asked for.
        attention: Where the model looked, if asked for.
        warnings: What a reader should know about this image.
        timing_ms: How long each step took.
        reference: The caller's own name for this image, as it was sent.
    """

    request_id: str
    model: ModelIdentity
    image: Image
    findings: tuple[Finding, ...]
    values: tuple[EstimatedValue, ...] = ()
    anatomy: Anatomy | None = None
    quality: Quality | None = None
    embedding: tuple[float, ...] | None = None
    attention: Attention | None = None
    warnings: tuple[ImageWarning, ...] = ()
    timing_ms: Timing | None = None
    reference: str | None = None

    def finding(self, label: str) -> Finding:
        """The finding of that name.

        Raises:
            KeyError: The model has no such finding.
        """
        for finding in self.findings:
            if finding.label == label:
                return finding
        raise KeyError(label)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Where a model looked, as numbers.

    Attributes:
        request_id: The server's name for this request.
        model: Which model answered.
        method: How the map was made.
        target: The finding that it explains, or None for methods that know no finding.
        versus: The finding that the target was compared with.
        grid: Rows of the map; it covers the whole picture.
        signed: Whether negative values mean evidence against the target.
        focus: Where the map lies, where heart and lungs were measured.
        image: Facts about the picture.
        anatomy: Outlines and measurements, where the model makes them.
        warnings: What a reader should know about this image.
        timing_ms: How long each step took.
    """

    request_id: str
    model: ModelIdentity
    method: str
    grid: tuple[tuple[float, ...], ...]
    target: str | None = None
    versus: str | None = None
    signed: bool = False
    focus: Focus | None = None
    image: Image | None = None
    anatomy: Anatomy | None = None
    warnings: tuple[ImageWarning, ...] = ()
    timing_ms: Timing | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """One of the models that are being served.

    Attributes:
        name: Name of the bundle.
        version: Version of the bundle.
        sha256: Hash of the bundle's manifest.
        methods: How it can explain, the default first.
    """

    name: str
    version: str
    sha256: str
    methods: tuple[str, ...] = ()
