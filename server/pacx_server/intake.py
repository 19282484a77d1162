"""The door that every upload goes through: check headers, admit, read, lend a model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass, replace
from typing import TypeAlias

from starlette.requests import Request

from pacx.errors import InputError, UnusableImage
from pacx_server.admission import Ticket
from pacx_server.context import RequestContext, context_of
from pacx_server.courtesy import GiveWay
from pacx_server.examination import Examination
from pacx_server.pieces import pieces_of
from pacx_server.security import Principal
from pacx_server.service import Service
from pacx_server.serving import ServedModel
from pacx_server.uploads import (
    Upload,
    UploadLimits,
    check_coding,
    check_files,
    check_headers,
    check_length,
    read_body,
    read_upload,
)

Outcome: TypeAlias = Examination | InputError
"""What became of one of several files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """An admitted request with all its files.

    Attributes:
        service: The service.
        context: Of the request.
        served: The model that is asked.
        ticket: The places that the request holds.
        upload: What was sent.
        deadline: On the event loop's clock.
    """

    service: Service
    context: RequestContext
    served: ServedModel
    ticket: Ticket
    upload: Upload
    deadline: float

    @property
    def message(self) -> bytes:
        """The message of an inference protocol, which is whole."""
        return b"".join(pieces_of(self.upload.files[0]))

    def unpack(self, files: tuple[bytes, ...]) -> Visit:
        """The same visit with the files that lay inside its message.

        Raises:
            InputError: There are too many, or one is empty or too large.
            ServiceError: There is no room for so many.
        """
        check_files(files, self.service.many_files)
        self.ticket.hold(images=len(files) - 1)
        return replace(self, upload=Upload(files=files, reference=None))

    async def examine(self, index: int = 0, *, picture: bool = False) -> Examination:
        """Take one of the files through decoding and the model; raises as ``Examiner`` does."""
        async with self._turn() as give_way:
            return await self.service.examiner.examine(
                self.upload.files[index],
                self.served,
                self.context,
                deadline=self.deadline,
                picture=picture,
                give_way=give_way,
            )

    def _turn(self) -> AbstractAsyncContextManager[GiveWay | None]:
        if self.ticket.principal.background:
            return self.service.courtesy.behind()
        return nullcontext()

    async def examine_all(self) -> list[Outcome]:
        """Examine all files at once; a fault of one of several files stays with that file."""
        everything = await asyncio.gather(
            *(self.examine(index) for index in range(len(self.upload.files))),
            return_exceptions=True,
        )
        outcomes: list[Outcome] = []
        for outcome in everything:
            lone = len(everything) == 1
            if isinstance(outcome, BaseException) and (lone or not isinstance(outcome, InputError)):
                raise outcome
            outcomes.append(outcome)
        return outcomes


def all_usable(outcomes: Sequence[Outcome]) -> list[Examination]:
    """The examinations, where an answer has no room for the error of one of several files.

    Raises:
        UnusableImage: Names the first file that cannot be used.
    """
    examinations = []
    for index, outcome in enumerate(outcomes):
        if isinstance(outcome, InputError):
            raise UnusableImage(f"File {index} ({outcome.code}): {outcome.detail}")
        examinations.append(outcome)
    return examinations


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
    declared = check_headers(request.headers, limits)
    with _admitted(request, service, caller, model, declared) as (ticket, served):
        with context_of(request.scope).phase("receive"):
            upload = await read_upload(request, limits, ticket, declared=declared)
        ticket.hold(images=len(upload.files) - 1)
        yield _visit(request, service, served, ticket, upload)


@asynccontextmanager
async def receive_message(
    request: Request, service: Service, caller: Principal, model: str | None
) -> AsyncIterator[Visit]:
    """Admit a request whose files lie inside a message of an inference protocol.

    The only file of the visit is the message itself; ``Visit.unpack`` takes the next step.

    Raises:
        UnknownModel: No model of that name is served.
        InputError: The body is empty, coded or too large.
        ServiceError: The server cannot take it now, or not from this caller.
    """
    limits = service.many_files
    check_coding(request.headers)
    declared = check_length(request.headers, limits.body_bytes)
    with _admitted(request, service, caller, model, declared) as (ticket, served):
        with context_of(request.scope).phase("receive"):
            body = await read_body(request, limits, ticket, declared)
        yield _visit(request, service, served, ticket, Upload(files=(body,), reference=None))


@contextmanager
def _admitted(
    request: Request, service: Service, caller: Principal, model: str | None, declared: int
) -> Iterator[tuple[Ticket, ServedModel]]:
    with (
        service.admission.admit(caller, size_bytes=declared) as ticket,
        nullcontext() if caller.background else service.courtesy.preferred(),
        service.catalogue.get(model).lease() as served,
    ):
        context_of(request.scope).model = served.label
        yield ticket, served


def _visit(
    request: Request, service: Service, served: ServedModel, ticket: Ticket, upload: Upload
) -> Visit:
    return Visit(
        service=service,
        context=context_of(request.scope),
        served=served,
        ticket=ticket,
        upload=upload,
        deadline=service.deadline(ticket.principal),
    )
