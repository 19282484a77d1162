"""What a bundle and its versions may be called, said before any work is done."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pacx.bundle import Bundle
from pacx.errors import BundleError
from pacx.manifest import BundleName, BundleVersion

_NAME: TypeAdapter[str] = TypeAdapter(BundleName)
_VERSION: TypeAdapter[str] = TypeAdapter(BundleVersion)


def check_name(name: str) -> None:
    """Refuse what no bundle may be called.

    Raises:
        BundleError: Says what is allowed.
    """
    _check(_NAME, name, "small letters, digits, dots and hyphens, at most 64 (--name)")


def check_version(version: str) -> None:
    """Refuse what is no version.

    Raises:
        BundleError: Says what is allowed.
    """
    _check(_VERSION, version, "up to three numbers, such as 0.1.0 (--version)")


def check_successor(bundle: Bundle, directory: Path, version: str) -> None:
    """Refuse a new version of a bundle that could not be written or told from it.

    Raises:
        BundleError: ``version`` is none or the bundle's own, or ``directory`` exists.
    """
    check_version(version)
    if version == bundle.manifest.version:
        raise BundleError(f"--version {version} is this bundle's own; give the new one another.")
    if directory.exists():
        raise BundleError(f"{directory.absolute().name} exists already; choose another directory.")


def _check(kind: TypeAdapter[str], value: str, allowed: str) -> None:
    try:
        kind.validate_python(value)
    except ValidationError as error:
        raise BundleError(f"A bundle cannot be called {value!r}: {allowed}.") from error
