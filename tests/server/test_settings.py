"""Settings that mean nothing: each is refused by its name, before anything listens."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from pacx.errors import SettingsError
from pacx_server.app import create_app
from pacx_server.commands import serve
from pacx_server.settings import Settings
from tests.live_server import CONFIGURING

HASHES = ["0" * 64, "1" * 64]


def oidc(**changes: str) -> str:
    """A provider, but for some of its fields."""
    return json.dumps({"issuer": "x", "audience": "y", "jwks_url": "http://a"} | changes)


def keys(*rows: tuple[str, str], **more: object) -> str:
    """Callers by name and hash."""
    return json.dumps([{"name": name, "sha256": sha256} | more for name, sha256 in rows])


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting but the test's own."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(CONFIGURING)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PACX_PORT", "0")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("API_KEYS", "ward-3", "JSON is expected"),
        ("API_KEYS", '[{"name": "a", "sha256": "x"}]', "0.SHA256"),
        ("OIDC", "https://login.example.org", "JSON is expected"),
        ("TLS_KEY", "key.pem", "PACX_TLS_CERTIFICATE"),
        ("OIDC", oidc(refresh_cooldown_s="inf"), "REFRESH_COOLDOWN_S"),
        ("OIDC", oidc(issuer=""), "OIDC.ISSUER: String should have at least 1"),
        ("OIDC", oidc(audience=" "), "OIDC.AUDIENCE: String should have at least 1"),
        ("OIDC", oidc(jwks_url="http://[::1"), "OIDC.JWKS_URL: Input should be a valid URL"),
        ("OIDC", oidc(jwks_url="https://"), "OIDC.JWKS_URL: Input should be a valid URL"),
        ("OIDC", oidc(jwks_url="file:///etc/keys"), "'http' or 'https'"),
        ("API_KEYS", keys(("a", HASHES[0]), ("a", HASHES[1])), "two keys are called a;"),
        ("API_KEYS", keys(("a", HASHES[0]), ("b", HASHES[0])), "a and b have the same hash"),
        ("API_KEYS", keys(("a", HASHES[0]), scopes=[]), "0.SCOPES: Tuple should have at least 1"),
        ("AUDIT_KEY", "", "at least 1"),
        ("DEADLINE_S", "inf", "finite"),
        ("BODY_TIMEOUT_S", "nan", "PACX_BODY_TIMEOUT_S"),
        ("MAX_WAIT_MS", "1e9", "less than or equal to 60000"),
        ("MAX_BATCH", "1000000000", "less than or equal to 1024"),
        ("ENGINE_THREADS", "100000000000000000000", "less than or equal to 1024"),
        ("DECODE_WORKERS", "100000000000000000000", "less than or equal to 1024"),
        ("DECODE_CPU_S", "100000000000000000000", "less than or equal to 86400"),
        ("DECODE_MEMORY_BYTES", "100000000000000000000", "less than or equal to"),
        ("DRAIN_S", "-1", "greater than or equal to 1"),
        ("PREDICT_ROUTE", "/predict", "choose another"),
        ("PREDICT_ROUTE", "/static/predict", "choose another"),
        ("HEALTH_ROUTE", "/", "choose another"),
        ("HEALTH_ROUTE", "/models", "choose another"),
        ("HEALTH_ROUTE", "/health/live", "choose another"),
    ],
)
def test_a_setting_that_means_nothing(
    monkeypatch: pytest.MonkeyPatch, tiny: Path, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(f"PACX_{name}", value)
    with pytest.raises(SettingsError, match=f"^PACX_{name}") as refusal:
        serve(bundle=[str(tiny)])
    assert words in refusal.value.detail


@pytest.mark.parametrize("path", ["/health/ready", "/readyz", "/health", "/probe"])
def test_a_route_of_health_may_be_one_that_means_the_same(path: str) -> None:
    create_app(Settings(health_route=path))


@pytest.mark.parametrize("content", [b"port = [", b"\xff\xfe"])
def test_a_file_of_settings_that_is_none(tmp_path: Path, tiny: Path, content: bytes) -> None:
    (tmp_path / "pacx.toml").write_bytes(content)
    with pytest.raises(SettingsError, match=r"^pacx\.toml cannot be read"):
        serve(bundle=[str(tiny)])


def test_an_address_that_is_taken(tiny: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"PACX_PORT: 127\.0\.0\.1, {port} .*in use"):
            serve(port=port, bundle=[str(tiny)])


@pytest.mark.parametrize("host", ["nowhere.invalid", "." * 70, "203.0.113.1"])
def test_an_address_that_is_not_ours(
    monkeypatch: pytest.MonkeyPatch, tiny: Path, host: str
) -> None:
    monkeypatch.setenv("PACX_ALLOW_UNAUTHENTICATED", "1")
    with pytest.raises(SettingsError, match=r"^PACX_HOST"):
        serve(host=host, bundle=[str(tiny)])
