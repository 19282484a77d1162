"""Who made a bundle: a detached Ed25519 signature (RFC 8032) of its ``manifest.json``.

The manifest holds the hash of every other file, so signing it signs all of them. The signature
lies beside it as ``signature.json``; keys are written as the base64 of their 32 raw bytes.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection
from pathlib import Path
from types import ModuleType

from pydantic import BaseModel, ConfigDict, ValidationError

from pacx.errors import BundleError, ExtraMissing

SIGNATURE = "signature.json"


class Signature(BaseModel):
    """``signature.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    algorithm: str = "ed25519"
    public_key: str
    signature: str


def sign(directory: Path, private_key_pem: bytes) -> str:
    """Sign the manifest of a bundle; returns the public key that verifies it.

    Args:
        directory: Of the bundle.
        private_key_pem: An Ed25519 key as PKCS 8, unencrypted, as
            ``openssl genpkey -algorithm ed25519`` writes it.

    Raises:
        BundleError: No manifest, or not such a key.
        ExtraMissing: The package cryptography is not installed.
    """
    ed25519 = _ed25519()
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(private_key_pem, password=None)
    except (ValueError, TypeError) as error:
        raise BundleError("The key is no unencrypted private key in PEM.") from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise BundleError("The key is no Ed25519 key.")
    public = _text(key.public_key().public_bytes_raw())
    made = Signature(public_key=public, signature=_text(key.sign(_manifest(directory))))
    (directory / SIGNATURE).write_text(made.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return public


def require_signature(directory: Path, trusted: Collection[str]) -> str:
    """Refuse a bundle that none of the trusted keys has signed; returns the key that has.

    Args:
        directory: Of the bundle.
        trusted: Public keys, base64 of their raw bytes.

    Raises:
        BundleError: Not signed, signed by somebody else, or changed since.
        ExtraMissing: The package cryptography is not installed.
    """
    ed25519 = _ed25519()
    from cryptography.exceptions import InvalidSignature

    found = _read(directory)
    if found.algorithm != "ed25519" or found.public_key not in trusted:
        raise BundleError("The bundle is not signed by a key that is trusted here.")
    try:
        key = ed25519.Ed25519PublicKey.from_public_bytes(_raw(found.public_key))
        key.verify(_raw(found.signature), _manifest(directory))
    except (InvalidSignature, ValueError) as error:
        raise BundleError("The bundle's signature does not fit its manifest.") from error
    return found.public_key


def _read(directory: Path) -> Signature:
    try:
        return Signature.model_validate_json((directory / SIGNATURE).read_bytes())
    except OSError as error:
        raise BundleError("The bundle is not signed.") from error
    except ValidationError as error:
        raise BundleError(f"{SIGNATURE} is no signature.") from error


def _manifest(directory: Path) -> bytes:
    try:
        return (directory / "manifest.json").read_bytes()
    except OSError as error:
        raise BundleError("manifest.json is missing, so this is no bundle.") from error


def _ed25519() -> ModuleType:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise ExtraMissing(
            'Signatures need the package cryptography: pip install "pacx[server]".'
        ) from error
    return ed25519


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _raw(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
