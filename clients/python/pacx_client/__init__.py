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
)
from pacx_client._requests import Include, Pooling
from pacx_client._results import (
    Anatomy,
    Attention,
    EstimatedValue,
    Explanation,
    Finding,
    Image,
    ImageWarning,
    ModelIdentity,
    Prediction,
    Quality,
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
    "Image",
    "ImageWarning",
    "Include",
    "InvalidInput",
    "ModelChanged",
    "ModelIdentity",
    "NotFound",
    "NotInstalled",
    "Overloaded",
    "PacxApiError",
    "PacxClient",
    "PacxClientError",
    "Pooling",
    "Prediction",
    "Problem",
    "Quality",
    "ServedModel",
    "ServerFault",
    "TimedOut",
    "Timing",
    "Unauthorized",
    "UnexpectedAnswer",
    "Uploadable",
    "__version__",
]
