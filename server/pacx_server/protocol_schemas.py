"""The shapes of KServe's V1 protocol, Vertex AI, and the Open Inference Protocol V2."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from pacx_server.base64_text import Base64Bytes
from pacx_server.schemas import (
    AnatomyAnswer,
    Attention,
    FindingAnswer,
    ImageFacts,
    Include,
    ModelIdentity,
    QualityAnswer,
    Schema,
    ValueAnswer,
    Vector,
    WarningNote,
)


class ServerMetadata(Schema):
    """Open Inference Protocol V2: the server."""

    name: Literal["pacx"] = "pacx"
    version: str
    extensions: tuple[str, ...] = ("binary_tensor_data", "model_configuration")


class ServerLive(Schema):
    """Open Inference Protocol V2: the process answers."""

    live: bool = True


class ServerReady(Schema):
    """Open Inference Protocol V2: requests are answered."""

    ready: bool = True


class TensorMetadata(Schema):
    """Open Inference Protocol V2: one input or output."""

    name: str
    datatype: Literal["BYTES", "FP32"]
    shape: list[int] = Field(description="-1 for the number of images.")


class ModelMetadata(Schema):
    """Open Inference Protocol V2: a model."""

    name: str
    versions: list[str]
    platform: str = "pacx_bundle"
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ModelConfiguration(Schema):
    """Triton's extension of model configurations: what a client needs of it."""

    name: str
    platform: str = "pacx_bundle"
    max_batch_size: int = Field(ge=1, description="Images of one request that are surely admitted.")


class ModelList(Schema):
    """KServe V1: the models."""

    models: list[str]


class ModelStatus(Schema):
    """KServe V1: a model."""

    name: str
    ready: bool = True


class EncodedFile(BaseModel):
    """A file as base64."""

    b64: Base64Bytes


class ImageInstance(BaseModel):
    """KServe V1: one radiograph under a name."""

    image: EncodedFile


class Parameters(BaseModel):
    """KServe V1 and Vertex AI: what else is wanted."""

    include: tuple[Include, ...] = ()


class PredictionRequest(BaseModel):
    """KServe V1 and Vertex AI: radiographs."""

    instances: list[EncodedFile | ImageInstance] = Field(min_length=1)
    parameters: Parameters = Parameters()


class InstancePrediction(Schema):
    """KServe V1 and Vertex AI: what a model says about one radiograph."""

    image: ImageFacts
    findings: list[FindingAnswer]
    values: list[ValueAnswer]
    anatomy: AnatomyAnswer | None
    quality: QualityAnswer | None
    embedding: Vector | None
    attention: Attention | None
    warnings: list[WarningNote]


class PredictionResponse(Schema):
    """KServe V1 and Vertex AI: in the order of the instances."""

    predictions: list[InstancePrediction]
    model: ModelIdentity
