"""Errors that end a program with a message for the user instead of a stack trace."""

import signal
import sys


class Problem(Exception):
    """An error that the user can act on."""


def run(program, main):
    """Runs `main` and exits with its status. A Problem is printed on standard error, with status 1."""
    # Raises SystemExit, so that servers that were just started are stopped, as after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except Problem as problem:
        print(f"{program}: {problem}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
