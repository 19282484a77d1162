"""When the client asks again, over real sockets, and the laws of its waits."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacx_client import ConnectionFailed, InvalidInput, Overloaded, TimedOut
from pacx_client._retry import RetryPolicy, retry_after_s
from tests.clients import examples
from tests.clients.conftest import Asker
from tests.clients.loopback import Answer, Loopback

GOOD = Answer.of_json(examples.PREDICTION)
BUSY = {"title": "The server is busy", "status": 503, "code": "queue_full", "detail": "Full."}
FULL = Answer.of_json(BUSY, status=503, Retry_After="1")
LOST = Answer(drop=True)
CONTENT = bytes(range(256)) * 700


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A file to upload."""
    path = tmp_path / "film.dcm"
    path.write_bytes(CONTENT)
    return path


def test_a_full_server_is_asked_again_when_it_says_and_gets_the_whole_file(
    loopback: Loopback, ask: Asker, film: Path
) -> None:
    loopback.answers = [FULL, FULL, GOOD]
    with film.open("rb") as opened:
        answer = ask(loopback.url, lambda client: client.predict(opened))
    assert answer.request_id == "r-1"
    assert [CONTENT in request.body for request in loopback.received] == [True, True, True]
    times_s = [request.at_s for request in loopback.received]
    assert all(later - earlier >= 1.0 for earlier, later in itertools.pairwise(times_s))


def test_a_quota_is_waited_for_too(loopback: Loopback, ask: Asker, film: Path) -> None:
    over = Answer.of_json({"code": "quota_exceeded"}, status=429, Retry_After="0")
    loopback.answers = [over, GOOD]
    assert ask(loopback.url, lambda client: client.predict(film)).request_id == "r-1"


def test_after_all_retries_the_problem_is_raised(
    loopback: Loopback, ask: Asker, film: Path
) -> None:
    loopback.answers = [Answer.of_json(BUSY, status=503, Retry_After="0")]
    with pytest.raises(Overloaded) as caught:
        ask(loopback.url, lambda client: client.predict(film), retries=2)
    assert len(loopback.received) == 3
    assert (caught.value.code, caught.value.retry_after_s) == ("queue_full", 0.0)


def test_a_wait_that_is_too_long_is_left_to_the_caller(
    loopback: Loopback, ask: Asker, film: Path
) -> None:
    loopback.answers = [Answer.of_json(BUSY, status=503, Retry_After="3600"), GOOD]
    with pytest.raises(Overloaded) as caught:
        ask(loopback.url, lambda client: client.predict(film))
    assert len(loopback.received) == 1
    assert caught.value.retry_after_s == 3600.0


def test_a_lost_connection_is_tried_again(loopback: Loopback, ask: Asker, film: Path) -> None:
    loopback.answers = [LOST, GOOD]
    assert ask(loopback.url, lambda client: client.predict(film)).request_id == "r-1"


def test_a_connection_that_is_always_lost_is_an_error(
    loopback: Loopback, ask: Asker, film: Path
) -> None:
    loopback.answers = [LOST]
    with pytest.raises(ConnectionFailed):
        ask(loopback.url, lambda client: client.predict(film), retries=1)
    assert len(loopback.received) == 2


def test_nobody_listening_is_an_error(ask: Asker, film: Path) -> None:
    with Loopback() as gone:
        url = gone.url
    with pytest.raises(ConnectionFailed):
        ask(url, lambda client: client.predict(film), retries=0)


def test_silence_is_an_error_and_is_not_asked_again(
    loopback: Loopback, ask: Asker, film: Path
) -> None:
    loopback.answers = [Answer(silence_s=2.0)]
    with pytest.raises(TimedOut):
        ask(loopback.url, lambda client: client.predict(film), timeout_s=0.2)
    assert len(loopback.received) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 413, 415, 422, 500, 501, 502, 504])
def test_other_refusals_are_final(loopback: Loopback, ask: Asker, film: Path, status: int) -> None:
    loopback.answers = [Answer.of_json({"code": "no"}, status=status), GOOD]
    with pytest.raises(Exception, match=f"{status} no"):
        ask(loopback.url, lambda client: client.predict(film))
    assert len(loopback.received) == 1


def test_an_upload_that_is_refused_before_its_end_still_tells_why(
    loopback: Loopback, ask: Asker
) -> None:
    early = Answer.of_json({"code": "too_large"}, status=413)
    loopback.answers = [replace(early, before_body=True)]
    with pytest.raises(InvalidInput) as caught:
        ask(loopback.url, lambda client: client.predict(bytes(8_000_000)))
    assert caught.value.code == "too_large"


policies = st.builds(
    RetryPolicy,
    retries=st.integers(0, 10),
    first_wait_s=st.floats(0.001, 10),
    longest_wait_s=st.floats(0.001, 100),
    jitter=st.floats(0, 1, exclude_max=True).map(lambda value: lambda: value),
)
outcomes = st.one_of(
    st.integers(200, 599).map(httpx.Response),
    st.tuples(st.sampled_from([429, 503]), st.integers(0, 10_000)).map(
        lambda pair: httpx.Response(pair[0], headers={"Retry-After": str(pair[1])})
    ),
    st.sampled_from([httpx.ConnectError(""), httpx.ReadTimeout(""), httpx.ReadError("")]),
)


@given(policies, outcomes, st.integers(1, 5_000))
def test_waits_are_bounded_and_never_shorter_than_asked(
    policy: RetryPolicy, outcome: httpx.Response | httpx.TransportError, attempt: int
) -> None:
    wait_s = policy.wait_s(outcome, attempt)
    if wait_s is None:
        return
    assert attempt <= policy.retries
    assert 0 <= wait_s <= policy.longest_wait_s
    if isinstance(outcome, httpx.Response):
        assert outcome.status_code in (429, 503)
        assert wait_s >= (retry_after_s(outcome) or 0)


def test_waits_without_advice_grow_and_differ() -> None:
    steady = RetryPolicy(retries=4, first_wait_s=1, longest_wait_s=5, jitter=lambda: 1.0)
    assert [steady.wait_s(httpx.Response(503), attempt) for attempt in range(1, 6)] == [
        1.0,
        2.0,
        4.0,
        5.0,
        None,
    ]
    waits = {RetryPolicy().wait_s(httpx.Response(503), 1) for _ in range(20)}
    assert len(waits) > 1


def test_a_date_to_come_back_at_is_understood() -> None:
    moment = datetime.now(UTC) + timedelta(seconds=90)
    dated = httpx.Response(503, headers={"Retry-After": format_datetime(moment, usegmt=True)})
    wait_s = retry_after_s(dated)
    assert wait_s is not None
    assert 0 < wait_s <= 90
    past = httpx.Response(503, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})
    assert retry_after_s(past) == 0.0


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_advice_that_makes_no_sense_is_no_advice(text: str) -> None:
    wait_s = retry_after_s(httpx.Response(503, headers={"Retry-After": text}))
    assert wait_s is None or wait_s >= 0
