"""Keys, tokens, scopes, quotas, exposure, audit and logs; faults.md rows 36 to 38 and 40."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from pydantic import ValidationError

from pacx.errors import NotReady, SettingsError
from pacx_server.oidc import TokenVerifier
from pacx_server.settings import OidcIssuer, Settings
from tests.live_server import LiveServer, running
from tests.phantom_dicom import chest_pixels, dicom_bytes
from tests.server.identity_provider import AUDIENCE, IdentityProvider
from tests.server.test_problems import check

KEYS = {"ward": "k" * 43, "admin": "a" * 43, "slow": "s" * 43}
STUDY = "1.2.826.0.1.3680043.8.498.77"


def bearer(credential: str) -> dict[str, str]:
    return {"authorization": f"Bearer {credential}"}


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with IdentityProvider() as provider:
        yield provider


@pytest.fixture(scope="module")
def secured(
    tiny: Path, provider: IdentityProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveServer]:
    """A server with keys, an identity provider and an audit log."""
    folder = tmp_path_factory.mktemp("secured")
    keys = [
        {"name": name, "sha256": hashlib.sha256(key.encode()).hexdigest()}
        for name, key in KEYS.items()
    ]
    keys[1]["scopes"] = ["admin"]  # type: ignore[assignment]
    keys[2]["images_per_minute"] = 2  # type: ignore[assignment]
    oidc = {
        "issuer": provider.issuer,
        "audience": AUDIENCE,
        "jwks_url": f"{provider.issuer}/keys",
        "refresh_cooldown_s": 0.5,
    }
    settings = {
        "PACX_BUNDLES": str(tiny),
        "PACX_API_KEYS": json.dumps(keys),
        "PACX_OIDC": json.dumps(oidc),
        "PACX_AUDIT_LOG": str(folder / "audit.jsonl"),
        "PACX_AUDIT_KEY": "pseudonym key",
        "PACX_LOG_FORMAT": "json",
        "PACX_CORS_ORIGINS": "https://viewer.example",
    }
    with running(folder, settings) as server:
        yield server


@pytest.fixture
def client(secured: LiveServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=secured.url) as client:
        yield client


def ask(client: httpx.Client, file: bytes, headers: dict[str, str]) -> httpx.Response:
    return client.post("/predict", files={"file": file}, headers=headers)


@pytest.mark.parametrize("headers", [bearer(KEYS["ward"]), {"x-api-key": KEYS["ward"]}])
def test_a_key_lets_in(client: httpx.Client, phantom_dicom: bytes, headers: dict[str, str]) -> None:
    assert ask(client, phantom_dicom, headers).is_success


@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer("wrong"),
        bearer("a.b.c"),
        bearer("x" * 9000),
        {"authorization": f"Basic {KEYS['ward']}"},
        {"x-api-key": KEYS["ward"] + "x"},
        {"x-api-key": "", "authorization": f"Bearer {KEYS['ward']}"},
    ],
)
def test_anything_else_does_not(client: httpx.Client, headers: dict[str, str]) -> None:
    for method, path in (("POST", "/predict"), ("GET", "/models"), ("GET", "/info")):
        answer = client.request(method, path, headers=headers)
        check(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_scopes(client: httpx.Client, phantom_dicom: bytes) -> None:
    check(ask(client, phantom_dicom, bearer(KEYS["admin"])), 403, "forbidden")
    check(client.post("/models/tiny/reload", headers=bearer(KEYS["ward"])), 403, "forbidden")
    assert client.post("/models/tiny/reload", headers=bearer(KEYS["admin"])).is_success


def test_what_needs_no_key(client: httpx.Client) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/", "/docs", "/v2/health/live"):
        assert client.get(path).is_success


def test_a_quota_counts_images(client: httpx.Client, phantom_dicom: bytes) -> None:
    headers = bearer(KEYS["slow"])
    files = [("file", phantom_dicom)] * 2
    assert client.post("/embeddings", files=files, headers=headers).is_success
    answer = ask(client, phantom_dicom, headers)
    check(answer, 429, "quota_exceeded")
    assert 1 <= int(answer.headers["retry-after"]) <= 61


def test_a_token_lets_in(
    client: httpx.Client, provider: IdentityProvider, phantom_dicom: bytes
) -> None:
    assert ask(client, phantom_dicom, bearer(provider.token())).is_success
    listed = provider.token(scope=None, scp=["predict"])
    assert ask(client, phantom_dicom, bearer(listed)).is_success
    check(ask(client, phantom_dicom, bearer(provider.token(scope="openid"))), 403, "forbidden")


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another"},
        {"aud": None},
        {"iss": "https://elsewhere.example"},
        {"exp": 1},
        {"exp": None},
        {"sub": None},
        {"nbf": 4_000_000_000},
    ],
)
def test_a_token_that_does_not_fit(
    client: httpx.Client, provider: IdentityProvider, claims: dict[str, object]
) -> None:
    answer = client.get("/models", headers=bearer(provider.token(**claims)))  # type: ignore[arg-type]
    check(answer, 401, "unauthenticated")


def symmetric(claims: dict[str, object], published: dict[str, str]) -> str:
    """A token whose secret is the published key, for verifiers that believe the token's `alg`."""
    header = {"alg": "HS256", "typ": "JWT", "kid": published["kid"]}
    parts = [urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    text = b".".join(parts)
    signature = hmac.new(json.dumps(published).encode(), text, "sha256").digest()
    return (text + b"." + urlsafe_b64encode(signature).rstrip(b"=")).decode()


def test_forged_tokens(client: httpx.Client, provider: IdentityProvider) -> None:
    claims: dict[str, object] = {
        "iss": provider.issuer,
        "aud": AUDIENCE,
        "sub": "x",
        "exp": 4_000_000_000,
    }
    published = json.loads(provider.key_set())["keys"][0]
    forgeries = [
        jwt.encode(claims, "", algorithm="none"),
        symmetric(claims, published),
        provider.token().rpartition(".")[0] + "." + "A" * 86,
    ]
    for forgery in forgeries:
        check(client.get("/models", headers=bearer(forgery)), 401, "unauthenticated")


@pytest.mark.parametrize("scope", [None, 7, True, {"predict": True}, [["predict"]]])
def test_scopes_of_another_kind_grant_nothing(
    client: httpx.Client, provider: IdentityProvider, scope: object
) -> None:
    answer = client.get("/models", headers=bearer(provider.token(scope=scope)))
    check(answer, 403, "forbidden")


@pytest.mark.parametrize("published", [b"<html>down</html>", b'{"keys": []}', b"\xff"])
def test_a_provider_that_publishes_no_keys_is_out_of_reach(published: bytes) -> None:
    with IdentityProvider() as provider:
        token = provider.token()
        provider.key_set = lambda: published  # type: ignore[method-assign]
        verifier = TokenVerifier(
            OidcIssuer(issuer=provider.issuer, audience=AUDIENCE, jwks_url=provider.issuer)
        )
        with pytest.raises(NotReady):
            asyncio.run(verifier.verify(token))


def test_unknown_keys_do_not_ask_a_provider_that_is_down_again_and_again() -> None:
    with IdentityProvider() as provider:
        good, unknown = provider.token(), provider.token(key_id="unknown")
        verifier = TokenVerifier(
            OidcIssuer(
                issuer=provider.issuer,
                audience=AUDIENCE,
                jwks_url=provider.issuer,
                refresh_cooldown_s=0.5,
            )
        )
        assert asyncio.run(verifier.verify(good)).name == "oidc:dr-who"
        time.sleep(0.6)
        provider.key_set = lambda: b"<html>down</html>"  # type: ignore[method-assign]
        for _ in range(5):
            with pytest.raises(NotReady):
                asyncio.run(verifier.verify(unknown))
            assert asyncio.run(verifier.verify(good)).name == "oidc:dr-who"
        assert provider.fetches == 2


def test_keys_are_cached_and_follow_a_rotation(
    client: httpx.Client, provider: IdentityProvider
) -> None:
    assert client.get("/models", headers=bearer(provider.token())).is_success
    before = provider.fetches
    for _ in range(5):
        assert client.get("/models", headers=bearer(provider.token())).is_success
    assert provider.fetches == before
    for number in range(20):
        client.get("/models", headers=bearer(provider.token(key_id=f"unknown-{number}")))
    assert provider.fetches - before < 10  # strangers cannot make the server hammer the provider
    provider.rotate()
    patience = time.monotonic() + 60
    while not (answer := client.get("/models", headers=bearer(provider.token()))).is_success:
        assert time.monotonic() < patience, answer.text
        time.sleep(0.05)


def test_the_audit_log_knows_callers_and_pseudonyms_but_no_patient(
    client: httpx.Client, secured: LiveServer
) -> None:
    file = dicom_bytes(chest_pixels(), StudyInstanceUID=STUDY, PatientName="DOE^JANE\nforged")
    headers = bearer(KEYS["ward"]) | {
        "x-request-id": "audited",
        "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01",
    }
    assert ask(client, file, headers).is_success
    check(client.post("/predict", headers={"x-request-id": "stranger"}), 401, "unauthenticated")
    audit = secured.log.parent / "audit.jsonl"
    entries = entries_with({"audited", "stranger"}, audit)
    entry = entries["audited"]
    assert (entry["caller"], entry["model"], entry["outcome"]) == ("ward", "tiny@1.0", "ok")
    digest = hashlib.sha256(STUDY.encode()).hexdigest().encode()
    assert entry["studies"] == [hmac.new(b"pseudonym key", digest, "sha256").hexdigest()]
    assert entries["stranger"]["caller"] is None
    everything = audit.read_text(encoding="utf-8") + secured.text() + client.get("/metrics").text
    for secret in ("DOE", "JANE", STUDY, KEYS["ward"]):
        assert secret not in everything


def entries_with(wanted: set[str], log: Path) -> dict[str, Any]:
    """Lines by request id; one is written after its answer has been sent, so it may yet come."""
    deadline = time.monotonic() + 60
    while True:
        lines = log.read_text(encoding="utf-8").splitlines()
        told = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        entries = {entry.get("request_id"): entry for entry in told}
        if wanted <= entries.keys() or time.monotonic() > deadline:
            return entries
        time.sleep(0.05)


def test_logs_are_json_with_request_and_trace(client: httpx.Client, secured: LiveServer) -> None:
    headers = {"x-request-id": "logged", "traceparent": f"00-{'ef' * 16}-{'cd' * 8}-01"}
    client.get("/nothing", headers=headers)
    entries = entries_with({"logged"}, secured.log)
    assert entries["logged"]["trace_id"] == "ef" * 16
    assert entries["logged"]["outcome"] == "not_found"


@pytest.mark.parametrize(
    "parent",
    [
        f"ff-{'ef' * 16}-{'cd' * 8}-01",
        f"00-{'0' * 32}-{'cd' * 8}-01",
        f"00-{'ef' * 16}-{'0' * 16}-01",
    ],
)
def test_a_trace_that_w3c_calls_invalid_is_none(
    client: httpx.Client, secured: LiveServer, parent: str
) -> None:
    client.get("/nothing", headers={"x-request-id": parent, "traceparent": parent})
    entry = entries_with({parent}, secured.log)[parent]
    assert entry.get("trace_id") is None


def test_only_named_origins_may_call_from_a_browser(client: httpx.Client) -> None:
    allowed = client.get("/livez", headers={"origin": "https://viewer.example"})
    assert allowed.headers["access-control-allow-origin"] == "https://viewer.example"
    other = client.get("/livez", headers={"origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in other.headers


def preflight(
    client: httpx.Client, origin: str, method: str, path: str, field: str
) -> httpx.Response:
    headers = {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": field,
    }
    return client.options(path, headers=headers)


def test_a_named_origin_may_use_all_of_the_interface(client: httpx.Client) -> None:
    origin, name = "https://viewer.example", "0" * 32
    for method, path, field in (
        ("POST", "/predict", "x-api-key"),
        ("POST", "/v2/models/tiny/infer", "inference-header-content-length"),
        ("DELETE", f"/evaluations/{name}", "authorization"),
    ):
        assert preflight(client, origin, method, path, field).is_success
    exposed = client.get("/livez", headers={"origin": origin}).headers
    assert "access-control-allow-credentials" not in exposed
    readable = exposed["access-control-expose-headers"].split(", ")
    assert {"x-request-id", "x-warnings", "retry-after", "location"} <= set(readable)


@pytest.mark.parametrize(
    ("origin", "method", "field"),
    [
        ("https://elsewhere.example", "POST", "x-api-key"),
        ("https://viewer.example", "PUT", "x-api-key"),
        ("https://viewer.example", "POST", "cookie"),
    ],
)
def test_what_a_page_may_not_send_is_a_problem(
    client: httpx.Client, origin: str, method: str, field: str
) -> None:
    answer = preflight(client, origin, method, "/predict", field)
    check(answer, 400, "malformed_request")
    assert "access-control-allow-origin" not in answer.headers
    assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "pacx.example"])
def test_nobody_listens_to_a_network_without_protection(host: str) -> None:
    with pytest.raises(SettingsError, match="PACX_ALLOW_UNAUTHENTICATED"):
        Settings(host=host).check_exposure()
    Settings(host=host, allow_unauthenticated=True).check_exposure()
    Settings(host=host, tls_certificate=Path("c"), tls_key=Path("k")).check_exposure()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_loopback_needs_none(host: str) -> None:
    Settings(host=host).check_exposure()


def test_a_key_that_is_no_hash_is_refused() -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"api_keys": [{"name": "a", "sha256": "plain text"}]})
