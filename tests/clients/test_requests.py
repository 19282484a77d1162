"""What goes over the wire, seen from the other end of it."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest

from pacx_client import Uploadable
from tests.clients import examples
from tests.clients.conftest import Asker
from tests.clients.loopback import Answer, Loopback

CONTENT = bytes(range(256)) * 700  # longer than one piece of a streamed form
PNG = b"\x89PNG\r\n\x1a\n..."


@pytest.fixture
def patient_file(tmp_path: Path) -> Path:
    """A file whose name gives a patient away."""
    path = tmp_path / "DOE_JANE_19700101.dcm"
    path.write_bytes(CONTENT)
    return path


def test_a_prediction_uploads_the_file_without_its_name(
    loopback: Loopback, ask: Asker, patient_file: Path
) -> None:
    loopback.answers = [Answer.of_json(examples.PREDICTION)]
    ask(
        loopback.url,
        lambda client: client.predict(
            patient_file, include=("embedding", "attention"), reference="mine"
        ),
        api_key="secret",
    )
    (request,) = loopback.received
    assert (request.method, request.target) == ("POST", "/predict?include=embedding%2Cattention")
    assert request.headers["authorization"] == "Bearer secret"
    assert request.headers["accept"] == "application/json"
    assert request.headers["user-agent"].startswith("pacx-client/")
    assert CONTENT in request.body
    assert b'name="file"; filename="radiograph"' in request.body
    assert b'name="reference"\r\n\r\nmine\r\n' in request.body
    assert b"DOE" not in request.body + str(request.headers).encode()


def test_without_a_key_or_options_nothing_is_added(
    loopback: Loopback, ask: Asker, patient_file: Path
) -> None:
    loopback.answers = [Answer.of_json(examples.PREDICTION)]
    ask(loopback.url, lambda client: client.predict(patient_file))
    (request,) = loopback.received
    assert request.target == "/predict"
    assert "authorization" not in request.headers
    assert b"reference" not in request.body


def test_a_server_behind_a_path_is_found(
    loopback: Loopback, ask: Asker, patient_file: Path
) -> None:
    loopback.answers = [Answer.of_json(examples.PREDICTION)]
    ask(f"{loopback.url}/pacx/", lambda client: client.predict(patient_file))
    assert loopback.received[0].target == "/pacx/predict"


@pytest.mark.parametrize("kind", ["path", "string", "bytes", "file", "memory", "gzip"])
def test_every_kind_of_file_is_sent_whole(
    loopback: Loopback, ask: Asker, patient_file: Path, kind: str
) -> None:
    loopback.answers = [Answer.of_json(examples.PREDICTION)]
    packed = gzip.compress(CONTENT)
    with patient_file.open("rb") as opened, gzip.open(io.BytesIO(packed)) as unpacked:
        opened.read(10)
        files: dict[str, Uploadable] = {
            "path": patient_file,
            "string": str(patient_file),
            "bytes": CONTENT,
            "file": opened,
            "memory": io.BytesIO(CONTENT),
            "gzip": unpacked,  # type: ignore[dict-item]  # typeshed: GzipFile is no BinaryIO
        }
        ask(loopback.url, lambda client: client.predict(files[kind]))
        assert not opened.closed
    assert CONTENT in loopback.received[0].body


def test_a_text_stream_and_a_missing_file_are_refused_before_anything_is_sent(
    loopback: Loopback, ask: Asker, tmp_path: Path
) -> None:
    text: Uploadable = io.StringIO("not bytes")  # type: ignore[assignment]
    with pytest.raises(TypeError, match="binary stream"):
        ask(loopback.url, lambda client: client.predict(text))
    with pytest.raises(FileNotFoundError):
        ask(loopback.url, lambda client: client.predict(tmp_path / "missing.dcm"))
    assert loopback.received == []


def test_explanations_come_as_a_picture_or_as_numbers(
    loopback: Loopback, ask: Asker, patient_file: Path
) -> None:
    loopback.answers = [Answer(body=PNG), Answer.of_json(examples.EXPLANATION)]
    picture = ask(loopback.url, lambda client: client.explain(patient_file, target="Edema"))
    numbers = ask(
        loopback.url, lambda client: client.explain_grid(patient_file, method="last_layer")
    )
    assert picture == PNG
    assert numbers.grid == ((0.0, 1.0), (0.5, 0.5))
    assert numbers.focus == {"heart": 0.2, "lungs": 0.7, "outside": None}
    assert [request.target for request in loopback.received] == [
        "/explanations?method=rollout&target=Edema&opacity=0.5&legend=true&crop=auto",
        "/explanations?method=last_layer",
    ]
    accepted = [request.headers["accept"] for request in loopback.received]
    assert accepted == ["image/png", "application/json"]


def test_readiness_is_asked_once(loopback: Loopback, ask: Asker) -> None:
    loopback.answers = [Answer(status=503, headers={"Retry-After": "1"}), Answer(status=200)]
    assert ask(loopback.url, lambda client: client.ready()) is False
    assert ask(loopback.url, lambda client: client.ready()) is True
    assert [request.target for request in loopback.received] == ["/health/ready"] * 2
