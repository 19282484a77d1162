"""Archives, honest and not."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping

BOMB_BYTES = 2**28
MANY = 1_000_000


def zip_of(files: Mapping[str, bytes]) -> bytes:
    """A deflated zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """A tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def zip_with_link() -> bytes:
    """A zip whose entry is a symbolic link to the machine's list of users."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("manifest.csv")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    return buffer.getvalue()


def tar_with(kind: bytes, target: str = "/etc/passwd") -> bytes:
    """A tar whose only entry is a link or a device."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("manifest.csv")
        entry.type, entry.linkname = kind, target
        archive.addfile(entry)
    return buffer.getvalue()


def zip_bomb() -> bytes:
    """A quarter of a gibibyte of zeros in little; it is never held whole."""
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece, crc, parts = bytes(2**20), 0, []
    for _ in range(BOMB_BYTES // len(piece)):
        parts.append(squeezer.compress(piece))
        crc = zlib.crc32(piece, crc)
    body = b"".join([*parts, squeezer.flush()])
    return _zip_around(body, crc, BOMB_BYTES)


def lying_zip() -> bytes:
    """A bomb that declares to be ten bytes long."""
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = squeezer.compress(bytes(2**24)) + squeezer.flush()
    return _zip_around(body, zlib.crc32(bytes(2**24)), 10)


def _zip_around(body: bytes, crc: int, size: int) -> bytes:
    name = b"manifest.csv"
    common = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0x21, crc, len(body), size, len(name), 0)
    local = b"PK\x03\x04" + common + name + body
    central = b"PK\x01\x02\x14\x00" + common + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1, 1, len(central), len(local), 0)
    return local + central + end


def tar_bomb() -> bytes:
    """Zeros that the gzipped tar declares to be a quarter of a gibibyte."""
    entry = tarfile.TarInfo("manifest.csv")
    entry.size = BOMB_BYTES
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=9) as stream:
        stream.write(entry.tobuf())
        for _ in range(64):
            stream.write(bytes(2**20))
    return buffer.getvalue()


def tar_of_many(count: int = MANY) -> bytes:
    """A gzipped tar of so many empty files."""
    squeezer = zlib.compressobj(1, zlib.DEFLATED, 31)
    parts = [squeezer.compress(tarfile.TarInfo(str(number)).tobuf()) for number in range(count)]
    return b"".join([*parts, squeezer.flush()])


def zip_of_many(count: int = MANY) -> bytes:
    """A list of contents with so many entries, all of them the same empty file (zip64)."""
    local = b"PK\x03\x04" + struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 0x21, 0, 0, 0, 1, 0) + b"a"
    entry = b"PK\x01\x02" + struct.pack(
        "<HHHHHHIIIHHHHHII", 20, 20, 0, 0, 0, 0x21, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0
    )
    central = (entry + b"a") * count
    start = len(local)
    end64 = struct.pack(
        "<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(central), start
    )
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, start + len(central), 1)
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)
    return local + central + end64 + locator + end


Build = Callable[[], bytes]
HOSTILE: tuple[tuple[str, Build, int], ...] = (
    ("zip with ../", lambda: zip_of({"../escaped.csv": b"x"}), 400),
    ("zip with a/../../", lambda: zip_of({"a/../../escaped.csv": b"x"}), 400),
    ("zip with a root", lambda: zip_of({"/tmp/escaped.csv": b"x"}), 400),
    ("zip with a backslash", lambda: zip_of({"..\\escaped.csv": b"x"}), 400),
    ("zip with a link", zip_with_link, 400),
    ("zip bomb", zip_bomb, 413),
    ("zip that lies about its size", lying_zip, 400),
    ("zip of 20,000 files", lambda: zip_of_many(20_000), 413),
    ("tar with ../", lambda: tar_of({"../escaped.csv": b"x"}), 400),
    ("tar with a root", lambda: tar_of({"/tmp/escaped.csv": b"x"}), 400),
    ("tar with a symbolic link", lambda: tar_with(tarfile.SYMTYPE), 400),
    ("tar with a hard link", lambda: tar_with(tarfile.LNKTYPE), 400),
    ("tar with a device", lambda: tar_with(tarfile.CHRTYPE), 400),
    ("tar with a pipe", lambda: tar_with(tarfile.FIFOTYPE), 400),
    ("tar bomb", tar_bomb, 413),
    ("tar of 20,000 files", lambda: tar_of_many(20_000), 413),
    ("no archive", lambda: b"%PDF-1.4" + bytes(1000), 400),
)
