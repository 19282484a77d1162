"""Typed client of a PaCX server.

>>> from pacx_client import PacxClient
>>> with PacxClient("http://127.0.0.1:8000") as client:
...     for finding in client.predict("radiograph.dcm").findings:
...         print(finding.label, finding.probability)
"""

from pacx_client._async import AsyncPacxClient
from pacx_client._embeddings import Embedding, Embeddings
from pacx_client._errors import (
    ConnectionFailed,
    DeadlinePassed,
    InvalidInput,
    ModelChanged,
    NotFound,
    NotInstalled,
    Overloaded,
    PacxApiError,
    PacxClientError,
    Problem,
    ServerFault,
    TimedOut,
    Unauthorized,
    UnexpectedAnswer,
)
from pacx_client._evaluations import (
    Evaluation,
    EvaluationFailure,
    EvaluationProgress,
    EvaluationProtocol,
    OnServer,
)
from pacx_client._requests import Crop, Include, Outline, PictureFormat, Pooling
from pacx_client._results import (
    Anatomy,
    Attention,
    Contours,
    EstimatedValue,
    Explanation,
    Finding,
    Focus,
    Image,
    ImageWarning,
    ModelIdentity,
    Points,
    Prediction,
    Quality,
    RatioLines,
    ServedModel,
    Timing,
)
from pacx_client._sync import PacxClient
from pacx_client._uploads import Uploadable
from pacx_client._version import __version__

__all__ = [
    "Anatomy",
    "AsyncPacxClient",
    "Attention",
    "ConnectionFailed",
    "Contours",
    "Crop",
    "DeadlinePassed",
    "Embedding",
    "Embeddings",
    "EstimatedValue",
    "Evaluation",
    "EvaluationFailure",
    "EvaluationProgress",
    "EvaluationProtocol",
    "Explanation",
    "Finding",
    "Focus",
    "Image",
    "ImageWarning",
    "Include",
    "InvalidInput",
    "ModelChanged",
    "ModelIdentity",
    "NotFound",
    "NotInstalled",
    "OnServer",
    "Outline",
    "Overloaded",
    "PacxApiError",
    "PacxClient",
    "PacxClientError",
    "PictureFormat",
    "Points",
    "Pooling",
    "Prediction",
    "Problem",
    "Quality",
    "RatioLines",
    "ServedModel",
    "ServerFault",
    "TimedOut",
    "Timing",
    "Unauthorized",
    "UnexpectedAnswer",
    "Uploadable",
    "__version__",
]
