"""The door that every upload goes through: check headers, admit, read, lend a model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.requests import Request

from pacx_server.context import RequestContext, context_of
from pacx_server.examination import Examination
from pacx_server.security import Principal
from pacx_server.service import Service
from pacx_server.serving import ServedModel
from pacx_server.uploads import Upload, UploadLimits, check_headers, read_upload


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """An admitted request with all its files.

    Attributes:
        service: The service.
        context: Of the request.
        served: The model that is asked.
        upload: What was sent.
        deadline: On the event loop's clock.
    """

    service: Service
    context: RequestContext
    served: ServedModel
    upload: Upload
    deadline: float

    async def examine(self, index: int = 0, *, picture: bool = False) -> Examination:
        """Take one of the files through decoding and the model; raises as ``Examiner`` does."""
        return await self.service.examiner.examine(
            self.upload.files[index],
            self.served,
            self.context,
            deadline=self.deadline,
            picture=picture,
        )


@asynccontextmanager
async def receive_files(
    request: Request,
    service: Service,
    caller: Principal,
    model: str | None,
    limits: UploadLimits,
) -> AsyncIterator[Visit]:
    """Admit a request and read its files; its places are free again when the block ends.

    Raises:
        UnknownModel: No model of that name is served.
        InputError: The body cannot be used.
        ServiceError: The server cannot take it now, or not from this caller.
    """
    context = context_of(request.scope)
    declared = check_headers(request.headers, limits)
    with (
        service.admission.admit(caller, size_bytes=declared) as ticket,
        service.catalogue.get(model).lease() as served,
    ):
        context.model = served.label
        upload = await read_upload(request, limits, ticket, declared=declared)
        if len(upload.files) > 1:
            ticket.hold(images=len(upload.files) - 1)
        yield Visit(
            service=service,
            context=context,
            served=served,
            upload=upload,
            deadline=service.deadline(),
        )
