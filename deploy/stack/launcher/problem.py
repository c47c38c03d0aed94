"""What stops a program here: a sentence for the person who called it, never a stack trace."""

import signal
import sys


class Problem(Exception):
    """Something that the caller can do something about."""


def run(program, main):
    """Runs `main` and ends the process with its status; a problem is told on standard error, and is status 1."""
    # So that what was started is stopped, as after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except Problem as problem:
        print(f"{program}: {problem}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
