"""Becomes another program that gives way to everybody and dies with the server that started it.

``python -m pacx_server.evaluations.launch SERVER_PID URGENCY PROGRAM ARGUMENT...``
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from typing import cast

from pacx_server.evaluations.urgency import Urgency

_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG, prctl(2); survives execve
_NICENESS: dict[Urgency, int] = {"idle": 19, "low": 10}


def main() -> None:
    """Give up priority, tie this process's life to the server's, and run the program."""
    server, urgency, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, ctypes.c_ulong(signal.SIGKILL))
    if os.getppid() != int(server):  # it died before we could ask to die with it
        sys.exit(1)
    os.setpriority(os.PRIO_PROCESS, 0, _NICENESS[cast(Urgency, urgency)])
    if sys.platform == "linux" and urgency == "idle":
        # Whoever else wakes up takes the processor at once, which niceness alone does not grant.
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.execv(command[0], command)  # noqa: S606 - no shell is meant


if __name__ == "__main__":
    main()
