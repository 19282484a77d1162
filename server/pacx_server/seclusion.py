"""A process without a network: the kernel refuses it every new socket (seccomp(2)).

A filter is all it takes, and it works where namespaces need privileges that containers lack.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

_LOAD_WORD, _IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # linux/bpf_common.h
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4  # struct seccomp_data
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EACCES
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER_MODE = 38, 22, 2  # linux/prctl.h
_IO_URING_SETUP = 425  # opens sockets too
_OTHER_TABLE = 0x40000000  # x32's numbers begin here on x86-64, and nothing does elsewhere
_KNOWN = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}  # AUDIT_ARCH_*, socket(2)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def forbid_sockets() -> bool:
    """Take from this process, for good, the right to open sockets; open ones go on working.

    Returns:
        Whether the kernel agreed: it may be another system, an unknown processor or a kernel
        without filters.
    """
    if platform.system() != "Linux" or platform.machine() not in _KNOWN:
        return False
    instructions = _filter(*_KNOWN[platform.machine()])
    program = _Program(len(instructions) // 8, instructions)
    prctl, zero = ctypes.CDLL(None).prctl, ctypes.c_ulong(0)
    if prctl(_NO_NEW_PRIVILEGES, ctypes.c_ulong(1), zero, zero, zero) != 0:
        return False
    filtering = ctypes.c_ulong(_FILTER_MODE)
    return bool(prctl(_SET_SECCOMP, filtering, ctypes.byref(program), zero, zero) == 0)


def _filter(architecture: int, socket_number: int) -> bytes:
    """The filter as ``struct sock_filter``: code, jump if true, jump if false, operand."""
    steps = (
        (_LOAD_WORD, 0, 0, _ARCHITECTURE_AT),
        (_IF_EQUAL, 0, 4, architecture),
        (_LOAD_WORD, 0, 0, _NUMBER_AT),
        (_IF_AT_LEAST, 2, 0, _OTHER_TABLE),
        (_IF_EQUAL, 1, 0, socket_number),
        (_IF_EQUAL, 0, 1, _IO_URING_SETUP),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    )
    return b"".join(struct.pack("HBBI", *step) for step in steps)
