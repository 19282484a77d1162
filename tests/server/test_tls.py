"""The server behind a certificate of its own, and those who do not speak TLS."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.live_server import START_TIMEOUT_S, LiveServer, running
from tests.server.test_decoding import large_png


def certify(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1 that signs itself, and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "PaCX test")])
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate and its key."""
    folder = tmp_path_factory.mktemp("tls")
    certify(folder)
    return folder


@pytest.fixture(scope="module")
def server(tiny: Path, trust: Path) -> Iterator[LiveServer]:
    """Listens on all addresses, which TLS alone allows."""
    settings = {
        "PACX_BUNDLES": str(tiny),
        "PACX_HOST": "0.0.0.0",
        "PACX_TLS_CERTIFICATE": str(trust / "certificate.pem"),
        "PACX_TLS_KEY": str(trust / "key.pem"),
    }
    with running(trust, settings, wait=False) as process:
        yield process


@pytest.fixture
def client(server: LiveServer, trust: Path) -> Iterator[httpx.Client]:
    known = ssl.create_default_context(cafile=trust / "certificate.pem")
    url = server.url.replace("http:", "https:")
    with httpx.Client(base_url=url, verify=known, timeout=30) as client:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not ready(client):
            assert time.monotonic() < deadline, server.text()
            time.sleep(0.1)
        yield client


def ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").is_success
    except httpx.ConnectError:
        return False


def test_findings_and_an_overlay(
    client: httpx.Client, server: LiveServer, phantom_dicom: bytes
) -> None:
    answer = client.post("/predict", files={"file": phantom_dicom})
    assert answer.is_success
    assert "max-age" in answer.headers["strict-transport-security"]
    assert len(answer.json()["findings"]) == 2
    overlay = client.post(
        "/explanations",
        files={"file": large_png(1500)},
        headers={"accept": "image/png"},
    )
    assert overlay.content.endswith(b"IEND\xaeB`\x82")
    assert '"level": "error"' not in server.text()


def test_who_speaks_no_tls_is_hung_up_on(client: httpx.Client, server: LiveServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
        assert not connection.recv(4096).startswith(b"HTTP")
    assert client.get("/livez").is_success
