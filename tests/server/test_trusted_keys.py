"""With ``PACX_TRUSTED_KEYS`` the server takes only bundles that one of the keys has signed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pacx.bundle import Bundle, write_manifest
from pacx.errors import BundleError
from pacx.signature import sign
from pacx_server.serving import open_served
from pacx_server.settings import Settings
from pacx_server.telemetry import Telemetry


@pytest.fixture
def trusted(tiny_copy: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The key that signed the copy, the second of two in the environment."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = sign(tiny_copy, pem)
    monkeypatch.setenv("PACX_TRUSTED_KEYS", f"another, {public}")
    return public


async def served_name(folder: Path) -> str:
    served = await open_served(str(folder), Settings(engine="onnxruntime"), Telemetry())
    await served.retire()
    return served.identity.name


@pytest.mark.usefixtures("trusted")
def test_a_signed_bundle_is_served(tiny_copy: Path) -> None:
    assert asyncio.run(served_name(tiny_copy)) == "tiny"


@pytest.mark.usefixtures("trusted")
def test_an_unsigned_bundle_is_refused(tiny_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="not signed"):
        asyncio.run(served_name(tiny_bundle.directory))


@pytest.mark.usefixtures("trusted")
def test_a_bundle_that_changed_since_is_refused(tiny_copy: Path, tiny_bundle: Bundle) -> None:
    write_manifest(tiny_copy, tiny_bundle.manifest.model_copy(update={"version": "0.2.0"}))
    with pytest.raises(BundleError, match="does not fit its manifest"):
        asyncio.run(served_name(tiny_copy))
