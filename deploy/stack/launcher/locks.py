"""Locks between stacks, and checks for free ports.

The holder of its lock owns a port offset. The servers inherit the open file, so they own it until the last one exits.
"""

import errno
import fcntl
import os
import socket
from contextlib import contextmanager

from launcher.plan import EPHEMERAL_PORTS, HIGHEST_PORT
from launcher.problem import Problem

# The offsets that `free` chooses from. The step keeps the ports of two stacks apart.
FREE_OFFSETS = range(10_000, EPHEMERAL_PORTS - HIGHEST_PORT, 500)


@contextmanager
def held(path):
    """Waits for the lock on `path`, and holds it in the context."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # If the last holder deleted the folder in the meantime, this is a lock on a deleted file: try again.
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                yield
                return


def claim(cache, offset):
    """Returns the lock of `offset`, which must stay open, or None if another stack holds it."""
    folder = cache / "offsets"
    folder.mkdir(parents=True, exist_ok=True)
    file = open(folder / str(offset), "a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return file
    except BlockingIOError:
        file.close()
        return None


def claim_free(cache, addresses):
    """Returns an unused offset and its lock. All of `addresses(offset)` must be free."""
    for offset in FREE_OFFSETS:
        lock = claim(cache, offset)
        if lock and not any(is_in_use(address) for address in addresses(offset)):
            return offset, lock
        if lock:
            lock.close()
    raise Problem("no port offset is free; stop another stack with `down`")


def is_in_use(address):
    """Whether a program listens on `address`."""
    with socket.socket() as probe:
        # Ignores connections in TIME_WAIT.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise Problem(f"this machine has no address {address[0]}; add it to the loopback interface")
            return error.errno == errno.EADDRINUSE
    return False
