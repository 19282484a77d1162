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
    │   ├── NotAcceptable               406 not_acceptable
    │   ├── TooLarge                    413 too_large
    │   │   └── InflatedTooLarge        413 inflated_too_large
    │   ├── HeadTooLarge                431 head_too_large
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
    │   ├── HeaderTimeout               408 header_timeout
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

from pacx.errors.base import (
    PacxError,
)
from pacx.errors.inputs import (
    EmptyBody,
    ForProcessing,
    HeadTooLarge,
    InflatedTooLarge,
    InputError,
    LateralView,
    MalformedArchive,
    MalformedImage,
    MalformedRequest,
    MultiFrame,
    NoContrast,
    NoPixelData,
    NotAcceptable,
    NotAChestRadiograph,
    NotAnImage,
    PixelDataCorrupt,
    TooComplex,
    TooDeep,
    TooLarge,
    TooSmall,
    Truncated,
    UnsupportedMediaType,
    UnsupportedTransferSyntax,
    UnusableImage,
)
from pacx.errors.models import (
    BenchmarkError,
    BundleError,
    CheckpointError,
    CohortError,
    EngineError,
    EngineUnavailable,
    EvaluationError,
    ExtraMissing,
    NonFiniteOutput,
    ParityExceeded,
    RecipeError,
    SubjectError,
    TrainingError,
    UnknownEvaluation,
    UnknownMethod,
    UnknownModel,
    UnknownName,
    UnknownTarget,
)
from pacx.errors.service import (
    BodyTimeout,
    DeadlineExceeded,
    Forbidden,
    HeaderTimeout,
    InsufficientStorage,
    NoReport,
    NotReady,
    QueueFull,
    QuotaExceeded,
    ReloadRefused,
    ServiceError,
    SettingsError,
    Unauthenticated,
    is_full,
)

__all__ = [
    "BenchmarkError",
    "BodyTimeout",
    "BundleError",
    "CheckpointError",
    "CohortError",
    "DeadlineExceeded",
    "EmptyBody",
    "EngineError",
    "EngineUnavailable",
    "EvaluationError",
    "ExtraMissing",
    "ForProcessing",
    "Forbidden",
    "HeadTooLarge",
    "HeaderTimeout",
    "InflatedTooLarge",
    "InputError",
    "InsufficientStorage",
    "LateralView",
    "MalformedArchive",
    "MalformedImage",
    "MalformedRequest",
    "MultiFrame",
    "NoContrast",
    "NoPixelData",
    "NoReport",
    "NonFiniteOutput",
    "NotAChestRadiograph",
    "NotAcceptable",
    "NotAnImage",
    "NotReady",
    "PacxError",
    "ParityExceeded",
    "PixelDataCorrupt",
    "QueueFull",
    "QuotaExceeded",
    "RecipeError",
    "ReloadRefused",
    "ServiceError",
    "SettingsError",
    "SubjectError",
    "TooComplex",
    "TooDeep",
    "TooLarge",
    "TooSmall",
    "TrainingError",
    "Truncated",
    "Unauthenticated",
    "UnknownEvaluation",
    "UnknownMethod",
    "UnknownModel",
    "UnknownName",
    "UnknownTarget",
    "UnsupportedMediaType",
    "UnsupportedTransferSyntax",
    "UnusableImage",
    "is_full",
]
