"""Signed bundles: whose they are, and that nothing changed since."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pacx.archive import pack, unpack
from pacx.bundle import Bundle, open_bundle, write_manifest
from pacx.errors import BundleError
from pacx.signature import SIGNATURE, require_signature, sign


def new_key() -> bytes:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_signed_bundle_opens_and_is_trusted(tiny_copy: Path, tmp_path: Path) -> None:
    public = sign(tiny_copy, new_key())
    opened = open_bundle(tiny_copy)
    assert require_signature(tiny_copy, ["another", public]) == public
    pack(opened, tmp_path / "bundle.tar")
    unpack(tmp_path / "bundle.tar", tmp_path / "back")
    assert require_signature(tmp_path / "back", [public]) == public


def test_unsigned_bundle_is_refused(tiny_copy: Path) -> None:
    with pytest.raises(BundleError, match="not signed"):
        require_signature(tiny_copy, ["key"])


def test_somebody_elses_signature_is_refused(tiny_copy: Path) -> None:
    trusted = sign(tiny_copy, new_key())
    sign(tiny_copy, new_key())
    with pytest.raises(BundleError, match="not signed by a key that is trusted"):
        require_signature(tiny_copy, [trusted])


def test_changed_manifest_is_refused(tiny_copy: Path, tiny_bundle: Bundle) -> None:
    public = sign(tiny_copy, new_key())
    write_manifest(tiny_copy, tiny_bundle.manifest.model_copy(update={"licence": "MIT"}))
    with pytest.raises(BundleError, match="does not fit its manifest"):
        require_signature(tiny_copy, [public])


@pytest.mark.parametrize("text", ["", "{}", '{"public_key": "a", "signature": "b", "more": 1}'])
def test_what_is_no_signature_is_refused(tiny_copy: Path, text: str) -> None:
    (tiny_copy / SIGNATURE).write_text(text)
    with pytest.raises(BundleError, match="is no signature"):
        require_signature(tiny_copy, ["key"])


def test_trusted_nonsense_is_refused(tiny_copy: Path) -> None:
    (tiny_copy / SIGNATURE).write_text('{"public_key": "??", "signature": "!!"}')
    with pytest.raises(BundleError, match="does not fit"):
        require_signature(tiny_copy, ["??"])


def test_other_keys_do_not_sign(tiny_copy: Path) -> None:
    rsa = generate_private_key(65537, 2048)
    pem = rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for key, message in ((pem, "no Ed25519 key"), (b"nonsense", "no unencrypted private key")):
        with pytest.raises(BundleError, match=message):
            sign(tiny_copy, key)
    assert not (tiny_copy / SIGNATURE).exists()
