"""Messages of the Open Inference Protocol V2, in JSON and with its binary tensor data extension.

https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol and Triton's
"binary tensor data extension": raw tensors follow the JSON part, whose length a header gives.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StrictBool, ValidationError

from pacx.errors import MalformedRequest
from pacx_server.base64_text import decode_base64

LENGTH_HEADER = "inference-header-content-length"
MOST_SIDES = 4
Parameters = dict[str, JsonValue]
Array = NDArray[np.float32]


Side = Annotated[int, Field(ge=1)]


class InputTensor(BaseModel):
    """One input."""

    name: str
    # Bounded, for the product of a million sides is a number that takes minutes to compute.
    shape: list[Side] = Field(max_length=MOST_SIDES)
    datatype: Literal["BYTES", "FP32"]
    parameters: Parameters = {}
    data: list[Any] | None = Field(None, description="Flat or nested; left out in binary messages.")


class WantedParameters(BaseModel):
    """How one output is wanted; other parameters have no meaning here."""

    model_config = ConfigDict(extra="allow")

    binary_data: StrictBool | None = Field(None, description="None follows the request.")
    classification: Literal[0] = Field(
        0, description="That extension is not offered; `probabilities` come with their labels."
    )


class WantedTensor(BaseModel):
    """One output that is wanted."""

    name: str
    parameters: WantedParameters = WantedParameters()


class RequestParameters(BaseModel):
    """How all outputs are wanted; other parameters have no meaning here."""

    model_config = ConfigDict(extra="allow")

    binary_data_output: StrictBool = Field(
        False, description="Raw tensors behind the JSON part where an output says nothing else."
    )


class InferRequest(BaseModel):
    """A question."""

    id: str | None = None
    parameters: RequestParameters = RequestParameters()
    inputs: list[InputTensor] = Field(min_length=1)
    outputs: list[WantedTensor] = []


class OutputTensor(BaseModel):
    """One output."""

    name: str
    shape: list[int]
    datatype: Literal["FP32"] = "FP32"
    parameters: Parameters = {}
    data: list[float] | None = Field(None, description="Flat, row-major.")


class InferResponse(BaseModel):
    """The answer; `parameters` hold the names of the columns of `probabilities`."""

    model_name: str
    model_version: str
    id: str | None = None
    parameters: Parameters = {}
    outputs: list[OutputTensor]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Question:
    """A decoded request.

    Attributes:
        request: Its JSON part.
        images: A file each; empty where ``pixel_values`` were sent.
        pixel_values: float32 ``[N, 3, size, size]``, None where files were sent.
    """

    request: InferRequest
    images: tuple[bytes, ...]
    pixel_values: Array | None


def decode_request(body: bytes, json_length: int | None, *, size: int) -> Question:
    """Read a request.

    Args:
        body: Of the HTTP request.
        json_length: What the length header says; None where all of it is JSON.
        size: Side of the model's input.

    Raises:
        MalformedRequest: Says which part does not follow the protocol.
    """
    split = len(body) if json_length is None else json_length
    if not 0 <= split <= len(body):
        raise MalformedRequest(f"{LENGTH_HEADER} is longer than the body.")
    try:
        request = InferRequest.model_validate_json(body[:split])
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"][:4])
        raise MalformedRequest(f"{where or 'body'}: {first['msg']}") from error
    if len(request.inputs) != 1:
        raise MalformedRequest("Send exactly one input: image or pixel_values.")
    if len({wanted.name for wanted in request.outputs}) < len(request.outputs):
        raise MalformedRequest("outputs: ask for each output once.")
    tensor = request.inputs[0]
    raw = body[split:] if json_length is not None else None
    if (tensor.name, tensor.datatype) == ("image", "BYTES"):
        images = _images(tensor, _binary(tensor, raw))
        return Question(request=request, images=images, pixel_values=None)
    if (tensor.name, tensor.datatype) == ("pixel_values", "FP32"):
        values = _values(tensor, _binary(tensor, raw), size)
        return Question(request=request, images=(), pixel_values=values)
    raise MalformedRequest("The input is image (BYTES) or pixel_values (FP32).")


def encode_response(
    question: InferRequest, response: InferResponse, outputs: Mapping[str, Array]
) -> tuple[bytes, int | None]:
    """Write an answer; gives the body and the length of its JSON part, None where it is all.

    Raises:
        MalformedRequest: An output is wanted that there is not.
    """
    tensors: list[OutputTensor] = []
    raw: list[bytes] = []
    for wanted in question.outputs or [WantedTensor(name=name) for name in outputs]:
        if wanted.name not in outputs:
            raise MalformedRequest(f"The outputs are {', '.join(outputs)}.")
        array = np.ascontiguousarray(outputs[wanted.name], dtype="<f4")
        binary = wanted.parameters.binary_data
        if binary is None:
            binary = question.parameters.binary_data_output
        tensors.append(_output(wanted.name, array, binary=binary))
        raw += [array.tobytes()] if binary else []
    answer = response.model_copy(update={"outputs": tensors})
    header = answer.model_dump_json(exclude_none=True).encode()
    return b"".join([header, *raw]), len(header) if raw else None


def _output(name: str, array: Array, *, binary: bool) -> OutputTensor:
    shape = list(array.shape)
    if binary:
        return OutputTensor(name=name, shape=shape, parameters={"binary_data_size": array.nbytes})
    return OutputTensor(name=name, shape=shape, data=array.ravel().tolist())


def _binary(tensor: InputTensor, raw: bytes | None) -> bytes | None:
    """The raw bytes of an input, None where its data stand in the JSON part."""
    size = tensor.parameters.get("binary_data_size")
    if size is None:
        if tensor.data is None:
            raise MalformedRequest(f"{tensor.name} has no data.")
        return None
    if raw is None or size != len(raw):
        raise MalformedRequest(f"{tensor.name}: binary_data_size differs from what was sent.")
    return raw


def _images(tensor: InputTensor, raw: bytes | None) -> tuple[bytes, ...]:
    images = _base64(tensor.data or []) if raw is None else _length_prefixed(raw)
    if math.prod(tensor.shape) != len(images) or not images:
        raise MalformedRequest("image: the shape differs from the number of elements.")
    return images


def _base64(data: list[Any]) -> tuple[bytes, ...]:
    try:
        return tuple(decode_base64(element) for element in _flat(data))
    except ValueError as error:
        raise MalformedRequest("In JSON, every image is base64.") from error


def _length_prefixed(raw: bytes) -> tuple[bytes, ...]:
    elements, place = [], 0
    while place < len(raw):
        if len(raw) < place + 4:
            raise MalformedRequest("image: an element has no length.")
        (length,) = struct.unpack_from("<I", raw, place)
        elements.append(raw[place + 4 : place + 4 + length])
        if len(elements[-1]) != length:
            raise MalformedRequest("image: an element is shorter than its length says.")
        place += 4 + length
    return tuple(elements)


def _values(tensor: InputTensor, raw: bytes | None, size: int) -> Array:
    if len(tensor.shape) != 4 or tensor.shape[0] < 1 or tensor.shape[1:] != [3, size, size]:
        raise MalformedRequest(f"pixel_values has the shape [N, 3, {size}, {size}].")
    try:
        flat = _numbers(_flat(tensor.data or [])) if raw is None else _floats(raw)
    except (TypeError, ValueError, OverflowError) as error:
        raise MalformedRequest("pixel_values holds something other than numbers.") from error
    if flat.size != math.prod(tensor.shape) or not np.isfinite(flat).all():
        raise MalformedRequest("pixel_values must hold as many finite numbers as its shape says.")
    return flat.reshape(tensor.shape)


def _numbers(data: list[Any]) -> Array:
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused
        return np.array(data, np.float32)


def _floats(raw: bytes) -> Array:
    return np.frombuffer(raw, dtype="<f4").astype(np.float32)


def _flat(data: list[Any]) -> list[Any]:
    """Undo the nesting that the protocol allows."""
    while data and isinstance(data[0], list):
        if not all(isinstance(row, list) for row in data):
            raise ValueError("ragged")
        data = [element for row in data for element in row]
    return data
