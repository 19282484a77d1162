"""Adding files to a bundle that exists: to a copy of it, or to itself in one go."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pacx.bundle import Bundle, bundled, copied
from pacx.errors import BundleError
from pacx.signature import SIGNATURE


@contextmanager
def adding(bundle: Bundle, directory: Path | None) -> Iterator[Path]:
    """Offer a copy of a bundle to add to; it becomes ``directory``, or the bundle itself.

    Whatever raises inside leaves everything as it was.

    Args:
        bundle: Stays as it is where ``directory`` is given.
        directory: To be made; None replaces the bundle.

    Yields:
        The folder to add to.

    Raises:
        BundleError: ``directory`` exists, or the bundle itself may not be changed, because it
            comes with the package or is signed.
    """
    if directory is not None:
        with copied(bundle, directory) as folder:
            yield folder
        return
    _check_may_change(bundle)
    place = bundle.directory.resolve()  # of a link, the bundle that it leads to
    # What an earlier call left that was killed has another name, and is in nobody's way.
    with tempfile.TemporaryDirectory(prefix=f".{place.name}-", dir=place.parent) as room:
        with copied(bundle, Path(room) / "new") as folder:
            yield folder
        _replace(place, Path(room))


def _check_may_change(bundle: Bundle) -> None:
    if bundle.directory.parent.resolve() == bundled().parent.resolve():
        raise BundleError("This bundle comes with the package; name a directory for the copy.")
    if (bundle.directory / SIGNATURE).exists():
        raise BundleError(
            "This bundle is signed, and what is added breaks the signature; name a directory for "
            "the copy, and sign that."
        )


def _replace(directory: Path, room: Path) -> None:
    """Two renames, with the way back if the second does not come about."""
    directory.rename(room / "old")
    try:
        (room / "new").rename(directory)
    except BaseException:
        if not directory.exists():
            (room / "old").rename(directory)
        raise
