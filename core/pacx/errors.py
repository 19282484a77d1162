"""Every error that a user of PaCX can meet.

::

    PacxError
    ├── InputError                      the caller's file or request
    │   ├── MalformedRequest            400 malformed_request
    │   │   └── EmptyBody               400 empty_body
    │   ├── NotAnImage                  400 not_an_image
    │   ├── Truncated                   400 truncated
    │   ├── MalformedImage              400 malformed_image
    │   ├── MalformedArchive            400 malformed_archive
    │   ├── TooDeep                     400 too_deep
    │   ├── TooComplex                  400 too_complex
    │   ├── PixelDataCorrupt            400 pixel_data_corrupt
    │   ├── TooLarge                    413 too_large
    │   │   └── InflatedTooLarge        413 inflated_too_large
    │   ├── UnsupportedMediaType        415 unsupported_media_type
    │   ├── UnsupportedTransferSyntax   415 unsupported_transfer_syntax
    │   └── UnusableImage               422 unusable_image
    │       ├── NoPixelData             422 no_pixel_data
    │       ├── NotAChestRadiograph     422 not_a_chest_radiograph
    │       ├── LateralView             422 lateral_view
    │       ├── ForProcessing           422 for_processing
    │       ├── MultiFrame              422 multi_frame
    │       ├── NoContrast              422 no_contrast
    │       └── TooSmall                422 too_small
    ├── UnknownName                     a name the caller chose that does not exist
    │   ├── UnknownModel                404 unknown_model
    │   ├── UnknownEvaluation           404 unknown_evaluation
    │   ├── UnknownTarget               422 unknown_target
    │   └── UnknownMethod               422 unknown_method
    ├── BundleError                     500 bundle_invalid
    ├── EngineError                     500 engine_failed
    │   ├── EngineUnavailable           501 engine_unavailable
    │   └── NonFiniteOutput             500 non_finite_output
    ├── TrainingError                   500 training_failed
    │   ├── CheckpointError             500 checkpoint_invalid
    │   ├── CohortError                 422 cohort_invalid
    │   └── RecipeError                 422 recipe_invalid
    ├── EvaluationError                 500 evaluation_failed
    │   ├── SubjectError                422 subject_invalid
    │   ├── BenchmarkError              422 benchmark_invalid
    │   └── ParityExceeded              500 parity_exceeded
    ├── ServiceError                    the server as it is now, not the input
    │   ├── Unauthenticated             401 unauthenticated
    │   ├── Forbidden                   403 forbidden
    │   ├── BodyTimeout                 408 body_timeout
    │   ├── ReloadRefused               409 reload_refused
    │   ├── NoReport                    409 no_report
    │   ├── QuotaExceeded               429 quota_exceeded
    │   ├── QueueFull                   503 queue_full
    │   ├── NotReady                    503 not_ready
    │   ├── DeadlineExceeded            504 deadline_exceeded
    │   └── InsufficientStorage         507 insufficient_storage
    ├── SettingsError                   500 settings_invalid
    └── ExtraMissing                    501 extra_missing

Every class carries its HTTP status and a stable code, so that the server's edge needs no table
of its own (RFC 9457). Messages never repeat a value that was read from a file.
"""

from __future__ import annotations

from typing import ClassVar


class PacxError(Exception):
    """Base of all errors that PaCX raises on purpose.

    Attributes:
        code: Stable, machine-readable name of the problem.
        status: HTTP status that the server answers with.
        title: Short summary that is the same for every occurrence.
        detail: What happened here and what would be accepted; free of patient data.
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str) -> None:
        """Keep ``detail``, the sentence that is shown to the user."""
        super().__init__(detail)
        self.detail = detail

    def __reduce__(self) -> tuple[type[PacxError], tuple[str]]:
        """Survive the way back from a worker process."""
        return type(self), (self.detail,)


class InputError(PacxError):
    """The caller's file or request cannot be used."""

    code = "invalid_input"
    status = 400
    title = "Invalid input"


class MalformedRequest(InputError):
    """The request itself is broken: multipart syntax, parameters, number of parts."""

    code = "malformed_request"
    title = "Malformed request"


class EmptyBody(MalformedRequest):
    """There is no image in the request, or the file has no bytes."""

    code = "empty_body"
    title = "No image was sent"


class NotAnImage(InputError):
    """The bytes are none of the formats that PaCX reads."""

    code = "not_an_image"
    title = "Not an image"


class Truncated(InputError):
    """The file ends before its own header says it should."""

    code = "truncated"
    title = "The file is truncated"


class MalformedImage(InputError):
    """The file claims a known format but breaks its rules."""

    code = "malformed_image"
    title = "The file is malformed"


class MalformedArchive(InputError):
    """The archive is broken, or holds links, devices or names that leave its folder."""

    code = "malformed_archive"
    title = "The archive cannot be used"


class TooDeep(InputError):
    """Sequences are nested deeper than any radiograph needs."""

    code = "too_deep"
    title = "The file nests too deeply"


class TooComplex(InputError):
    """The file holds more elements than can be read within the limits."""

    code = "too_complex"
    title = "The file is too complex"


class PixelDataCorrupt(InputError):
    """The pixel data cannot be decoded, or disagrees with the header."""

    code = "pixel_data_corrupt"
    title = "The pixel data is corrupt"


class TooLarge(InputError):
    """A limit on bytes or pixels is exceeded."""

    code = "too_large"
    status = 413
    title = "Too large"


class InflatedTooLarge(TooLarge):
    """A compressed data set inflates beyond the limit."""

    code = "inflated_too_large"
    title = "The inflated file is too large"


class UnsupportedMediaType(InputError):
    """The request's media type or content coding is not read."""

    code = "unsupported_media_type"
    status = 415
    title = "Unsupported media type"


class UnsupportedTransferSyntax(InputError):
    """The DICOM transfer syntax is unknown or no decoder for it is installed."""

    code = "unsupported_transfer_syntax"
    status = 415
    title = "Unsupported transfer syntax"


class UnusableImage(InputError):
    """A readable file whose picture cannot be used."""

    code = "unusable_image"
    status = 422
    title = "The image cannot be used"


class NoPixelData(UnusableImage):
    """A DICOM object without a picture (report, key object, DICOMDIR, ...)."""

    code = "no_pixel_data"
    title = "No pixel data"


class NotAChestRadiograph(UnusableImage):
    """Modality or body part say that this is no chest radiograph."""

    code = "not_a_chest_radiograph"
    title = "Not a chest radiograph"


class LateralView(UnusableImage):
    """A lateral view where only frontal ones are accepted."""

    code = "lateral_view"
    title = "Lateral views are refused"


class ForProcessing(UnusableImage):
    """Raw detector values (Presentation Intent Type FOR PROCESSING)."""

    code = "for_processing"
    title = "The image is for processing, not for presentation"


class MultiFrame(UnusableImage):
    """More than one frame where one radiograph is meant."""

    code = "multi_frame"
    title = "More than one frame"


class NoContrast(UnusableImage):
    """All pixels have the same value."""

    code = "no_contrast"
    title = "The image has no contrast"


class TooSmall(UnusableImage):
    """Fewer pixels than a chest can be recognised in."""

    code = "too_small"
    title = "The image is too small"


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


class ServiceError(PacxError):
    """The server cannot take this request now, or not from this caller.

    Attributes:
        retry_after_s: Whole seconds after which another attempt makes sense, where one does.
    """

    code = "service_error"
    status = 503
    title = "The service is not available"

    def __init__(self, detail: str, *, retry_after_s: int | None = None) -> None:
        """Keep ``detail`` and when to come back."""
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Unauthenticated(ServiceError):
    """No key or token was sent, or it is not valid."""

    code = "unauthenticated"
    status = 401
    title = "Not authenticated"


class Forbidden(ServiceError):
    """The key or token is valid but lacks the scope."""

    code = "forbidden"
    status = 403
    title = "Forbidden"


class BodyTimeout(ServiceError):
    """The request's body came too slowly."""

    code = "body_timeout"
    status = 408
    title = "The request's body came too slowly"


class ReloadRefused(ServiceError):
    """The new version of a model cannot be served; the one before goes on."""

    code = "reload_refused"
    status = 409
    title = "The new version is refused"


class NoReport(ServiceError):
    """The evaluation has not ended, or ended without a report."""

    code = "no_report"
    status = 409
    title = "There is no report"


class QuotaExceeded(ServiceError):
    """The caller is over its own quota."""

    code = "quota_exceeded"
    status = 429
    title = "Quota exceeded"


class QueueFull(ServiceError):
    """A bound on waiting requests or their bytes is reached."""

    code = "queue_full"
    title = "The server is busy"


class NotReady(ServiceError):
    """The server is starting, draining or recovering."""

    code = "not_ready"
    title = "The server is not ready"


class DeadlineExceeded(ServiceError):
    """The request was not answered before its deadline."""

    code = "deadline_exceeded"
    status = 504
    title = "The deadline has passed"


class InsufficientStorage(ServiceError):
    """The disk is full where evaluations are kept."""

    code = "insufficient_storage"
    status = 507
    title = "There is no room on the disk"


class SettingsError(PacxError):
    """The server's settings are inconsistent or unsafe, so it does not start."""

    code = "settings_invalid"
    title = "The settings are invalid"


class ExtraMissing(PacxError):
    """An optional part of PaCX is not installed."""

    code = "extra_missing"
    status = 501
    title = "An optional part is not installed"
