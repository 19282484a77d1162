"""From a server's problems to the client's exceptions."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pacx_client
from pacx.errors import InputError, PacxError, ServiceError
from pacx_client import (
    DeadlinePassed,
    InvalidInput,
    NotFound,
    NotInstalled,
    Overloaded,
    PacxApiError,
    Problem,
    ServerFault,
    Unauthorized,
    UnexpectedAnswer,
)
from pacx_client._errors import error_for
from tests.clients.conftest import Asker
from tests.clients.loopback import Answer, Loopback


def _tree(root: type[PacxError]) -> Iterator[type[PacxError]]:
    yield root
    for branch in root.__subclasses__():
        yield from _tree(branch)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, InvalidInput),
        (401, Unauthorized),
        (403, Unauthorized),
        (404, NotFound),
        (405, InvalidInput),
        (408, DeadlinePassed),
        (409, ServerFault),
        (413, InvalidInput),
        (415, InvalidInput),
        (422, InvalidInput),
        (429, Overloaded),
        (500, ServerFault),
        (501, NotInstalled),
        (502, ServerFault),
        (503, Overloaded),
        (504, DeadlinePassed),
    ],
)
def test_every_status_has_its_exception(status: int, expected: type[PacxApiError]) -> None:
    assert type(error_for(Problem(status=status))) is expected


@pytest.mark.parametrize("kind", list(_tree(PacxError)))
def test_every_error_of_the_server_arrives_with_all_it_says(
    loopback: Loopback, ask: Asker, kind: type[PacxError]
) -> None:
    body = {
        "type": "about:blank",
        "title": kind.title,
        "status": kind.status,
        "detail": "What would be accepted.",
        "code": kind.code,
        "request_id": "r-9",
        "later": {"field": 1},
    }
    loopback.answers = [Answer.of_json(body, status=kind.status)]
    with pytest.raises(PacxApiError) as caught:
        ask(loopback.url, lambda client: client.models(), retries=0)
    assert caught.value.problem == Problem(
        status=kind.status,
        code=kind.code,
        title=kind.title,
        detail="What would be accepted.",
        request_id="r-9",
    )
    assert str(caught.value) == f"{kind.status} {kind.code}: What would be accepted."
    assert isinstance(caught.value, InvalidInput) or not issubclass(kind, InputError)
    assert not (issubclass(kind, ServiceError) and isinstance(caught.value, InvalidInput))


def test_a_problem_of_a_proxy_keeps_its_status_and_nothing_of_its_page(
    loopback: Loopback, ask: Asker
) -> None:
    loopback.answers = [Answer(status=502, body=b"<html>secret</html>")]
    with pytest.raises(ServerFault) as caught:
        ask(loopback.url, lambda client: client.models())
    assert str(caught.value) == "502 unknown: Bad Gateway"
    assert caught.value.retry_after_s is None


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"request_id": "r"}', b"null"])
def test_a_success_that_is_no_answer_is_said_to_be_unexpected(
    loopback: Loopback, ask: Asker, body: bytes
) -> None:
    loopback.answers = [Answer(body=body)]
    with pytest.raises(UnexpectedAnswer):
        ask(loopback.url, lambda client: client.predict(b"film"))
    with pytest.raises(UnexpectedAnswer, match="no PNG"):
        ask(loopback.url, lambda client: client.explain(b"film"))


@given(status=st.integers(400, 599), texts=st.tuples(st.text(), st.text(), st.text()))
def test_errors_survive_pickling(status: int, texts: tuple[str, str, str]) -> None:
    code, title, detail = texts
    error = error_for(Problem(status=status, code=code, title=title, detail=detail), 2.0)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.problem, copy.retry_after_s) == (type(error), error.problem, 2.0)
    assert (copy.status, copy.code, copy.detail) == (status, code, detail)


def test_all_errors_share_one_root() -> None:
    errors = [
        member
        for name in pacx_client.__all__
        if isinstance(member := getattr(pacx_client, name), type) and issubclass(member, Exception)
    ]
    assert len(errors) >= 10
    assert all(issubclass(error, pacx_client.PacxClientError) for error in errors)
