"""`simsearch ARGUMENTS...`, killed by the system at an fsync, rename or replace: MOMENT ARGUMENTS..., run as a program.

Every step that makes something durable is one of these, so killing before each leaves each state that a crash can
leave. MOMENT is the number of the call before which it happens, or the end of a path that the call is given.
"""

from __future__ import annotations

import os
import signal
import sys

moment = sys.argv[1]
calls = 0


def dying(real):
    """`real`; when the moment has come, the process ends before it without a word."""

    def call(*arguments, **options):
        global calls
        calls += 1
        if str(calls) == moment or any(str(one).endswith(moment) for one in arguments if not isinstance(one, int)):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)

    return call


if __name__ == "__main__":
    from simsearch.cli import main

    for name in ("fsync", "rename", "replace"):
        setattr(os, name, dying(getattr(os, name)))
    main(sys.argv[2:])
