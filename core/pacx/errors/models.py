"""What goes wrong with names, bundles, engines, training and evaluation."""

from __future__ import annotations

from pacx.errors.base import PacxError


class UnknownName(PacxError):
    """The caller named something that does not exist."""

    code = "unknown_name"
    status = 422
    title = "Unknown name"


class UnknownModel(UnknownName):
    """No model of that name is served."""

    code = "unknown_model"
    status = 404
    title = "Unknown model"


class UnknownEvaluation(UnknownName):
    """This caller has no evaluation of that name."""

    code = "unknown_evaluation"
    status = 404
    title = "Unknown evaluation"


class UnknownTarget(UnknownName):
    """No finding of that name is in the bundle."""

    code = "unknown_target"
    title = "Unknown target"


class UnknownMethod(UnknownName):
    """No explanation method of that name is available."""

    code = "unknown_method"
    title = "Unknown explanation method"


class BundleError(PacxError):
    """A bundle is missing, damaged, inconsistent or of an unknown schema."""

    code = "bundle_invalid"
    title = "The bundle is invalid"


class EngineError(PacxError):
    """An engine failed to run a graph."""

    code = "engine_failed"
    title = "The engine failed"


class EngineUnavailable(EngineError):
    """The engine or device that was asked for is not there; there is no silent fallback."""

    code = "engine_unavailable"
    status = 501
    title = "The engine is not available"


class NonFiniteOutput(EngineError):
    """An engine returned NaN or infinity."""

    code = "non_finite_output"
    title = "The model returned a number that is not finite"


class TrainingError(PacxError):
    """A training run cannot start or go on."""

    code = "training_failed"
    title = "Training failed"


class CheckpointError(TrainingError):
    """A checkpoint or run folder is missing, unsafe to read, or does not fit the model."""

    code = "checkpoint_invalid"
    title = "The checkpoint is invalid"


class CohortError(TrainingError):
    """A data set's files are missing, malformed, or its splits share patients."""

    code = "cohort_invalid"
    status = 422
    title = "The cohort is invalid"


class RecipeError(TrainingError):
    """A recipe is unknown or one of its values is refused."""

    code = "recipe_invalid"
    status = 422
    title = "The recipe is invalid"


class EvaluationError(PacxError):
    """An evaluation cannot start or go on."""

    code = "evaluation_failed"
    title = "The evaluation failed"


class SubjectError(EvaluationError):
    """What is to be evaluated is missing, unreadable, or no encoder of images."""

    code = "subject_invalid"
    status = 422
    title = "The subject of the evaluation is invalid"


class BenchmarkError(EvaluationError):
    """A benchmark is unknown, or its data cannot answer the question that was asked."""

    code = "benchmark_invalid"
    status = 422
    title = "The benchmark is invalid"


class ParityExceeded(EvaluationError):
    """An exported model differs from its original by more than the tolerance."""

    code = "parity_exceeded"
    title = "The exported model differs too much"


class ExtraMissing(PacxError):
    """An optional part of PaCX is not installed."""

    code = "extra_missing"
    status = 501
    title = "An optional part is not installed"
