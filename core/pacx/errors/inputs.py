"""The caller's file or request cannot be used."""

from __future__ import annotations

from pacx.errors.base import PacxError


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


class NotAcceptable(InputError):
    """None of the media types that the caller accepts is offered."""

    code = "not_acceptable"
    status = 406
    title = "Not acceptable"


class TooLarge(InputError):
    """A limit on bytes or pixels is exceeded."""

    code = "too_large"
    status = 413
    title = "Too large"


class HeadTooLarge(InputError):
    """Request line and headers are longer than any client needs."""

    code = "head_too_large"
    status = 431
    title = "The request's head is too large"


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
