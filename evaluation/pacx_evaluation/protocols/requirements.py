"""What protocols need of subjects and benchmark, checked before hours of embedding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pacx.bundle import Bundle
from pacx.errors import BenchmarkError, SubjectError
from pacx.preprocessing import PreprocessingSpec
from pacx_evaluation.benchmarks import Benchmark
from pacx_evaluation.subjects import Encoder
from pacx_evaluation.subjects.encoder import LocalEncoder
from pacx_training.cohorts.outlines import OutlinedFilm
from pacx_training.encoder import VisionTransformer

ABOUT_LABELS = ("linear", "few-label", "finetune", "calibration", "subgroups")
WITH_WEIGHTS = ("finetune", "segmentation")
OF_BUNDLES = ("export-parity", "explanations")


def check_requirements(
    protocols: Sequence[str],
    encoders: Sequence[Encoder],
    benchmark: Benchmark,
    outlined: Sequence[OutlinedFilm] = (),
) -> None:
    """Refuse protocols that these subjects or this benchmark cannot answer.

    Raises:
        SubjectError: A subject lacks weights in torch, or there is no bundle.
        BenchmarkError: There are no labels, masks or pairs, or no film to fit on.
    """
    for name in protocols:
        if name in ABOUT_LABELS:
            _check_labels(name, benchmark)
        if name in WITH_WEIGHTS:
            for encoder in encoders:
                weights_of(encoder, name)
        if name in OF_BUNDLES:
            bundles_among(encoders, name)
        if name == "segmentation":
            check_masks(benchmark, outlined)
            _check_outlines(protocols, benchmark, outlined)
        if name == "alignment":
            check_pairs(benchmark)


def check_names(encoders: Iterable[Encoder]) -> None:
    """Refuse subjects that tables could not tell apart.

    Raises:
        SubjectError: Two have the same name.
    """
    names = [encoder.identity.name for encoder in encoders]
    if len(set(names)) < len(names):
        raise SubjectError("Two subjects have the same name: write NAME=SUBJECT.")


def bundles_among(encoders: Iterable[Encoder], protocol: str) -> dict[str, Bundle]:
    """The bundles among the subjects by name.

    Raises:
        SubjectError: There is none.
    """
    bundles = {
        encoder.identity.name: encoder.bundle
        for encoder in encoders
        if isinstance(encoder, LocalEncoder) and encoder.bundle is not None
    }
    if not bundles:
        raise SubjectError(
            f"--protocol {protocol} needs a bundle among the subjects: a folder that pacx export "
            "wrote, or pacx-small."
        )
    return bundles


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchWeights:
    """A subject that torch can train.

    Attributes:
        network: Makes a copy of its encoder.
        spec: How that wants its films.
    """

    network: Callable[[], VisionTransformer]
    spec: PreprocessingSpec


def weights_of(encoder: Encoder, protocol: str) -> TorchWeights:
    """What torch can use of a subject.

    Raises:
        SubjectError: It has none, as ONNX files and servers.
    """
    if not isinstance(encoder, LocalEncoder) or encoder.network is None:
        raise SubjectError(
            f"{encoder.identity.name} has no weights that torch can use: --protocol {protocol} "
            "needs a bundle, a run, a checkpoint or random weights."
        )
    return TorchWeights(network=encoder.network, spec=encoder.spec)


def check_masks(benchmark: Benchmark, outlined: Sequence[OutlinedFilm]) -> None:
    """Refuse segmentation without masks.

    Raises:
        BenchmarkError: The benchmark has none, and no outlines were given.
    """
    if benchmark.masks is None and not outlined:
        raise BenchmarkError(
            f"{benchmark.title} has no masks for --protocol segmentation; give outlines with "
            "--outlines FILE --data FOLDER, or take a benchmark with masks."
        )


def _check_outlines(
    protocols: Sequence[str], benchmark: Benchmark, outlined: Sequence[OutlinedFilm]
) -> None:
    if benchmark.masks is not None and outlined and "explanations" not in protocols:
        raise BenchmarkError(
            f"--outlines: {benchmark.title} has masks of its own, which segmentation takes."
        )


def check_pairs(benchmark: Benchmark) -> None:
    """Refuse alignment without vectors that were measured with the films.

    Raises:
        BenchmarkError: There are none, or all films are of one split.
    """
    splits = set(benchmark.cohort.splits.tolist())
    if not benchmark.paired:
        raise BenchmarkError(
            f"{benchmark.title} pairs its films with nothing, which --protocol alignment needs; "
            "--benchmark simulated and --benchmark symile do."
        )
    if len(splits) < 2 or splits <= {"train"}:
        raise BenchmarkError(f"{benchmark.title} has no split to report: it needs test or val.")


def _check_labels(protocol: str, benchmark: Benchmark) -> None:
    if not benchmark.targets:
        raise BenchmarkError(
            f"{benchmark.title} has no labels for --protocol {protocol}; ask it for --protocol "
            f"{'segmentation' if benchmark.masks else 'alignment'}."
        )
    splits = set(benchmark.cohort.splits.tolist())
    if len(splits) > 1 and "train" not in splits:
        raise BenchmarkError(
            f"{benchmark.title} has a val and a test split but no train split, which --protocol "
            f"{protocol} fits on."
        )
