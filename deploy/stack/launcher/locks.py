"""Locks between stacks, and which ports are free.

A port offset belongs to whoever holds its lock. The servers inherit the open file, so it is theirs until the last has ended.
"""

import errno
import fcntl
import os
import socket
from contextlib import contextmanager

from launcher.plan import EPHEMERAL_PORTS, HIGHEST_PORT
from launcher.problem import Problem

# Where a free offset is looked for; by hundreds that no two ports of two stacks can meet at.
FREE_OFFSETS = range(10_000, EPHEMERAL_PORTS - HIGHEST_PORT, 500)


@contextmanager
def held(path):
    """Waits for the lock on `path` and holds it."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # Whoever held it may have removed the folder meanwhile, and then this is a lock on nothing.
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                yield
                return


def claim(cache, offset):
    """The lock of `offset`, to be kept open; None when another has it."""
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
    """An offset that nobody has, and its lock; `addresses(offset)` is what has to be free there."""
    for offset in FREE_OFFSETS:
        lock = claim(cache, offset)
        if lock and not any(is_taken(address) for address in addresses(offset)):
            return offset, lock
        if lock:
            lock.close()
    raise Problem("no port offset is free: stop a stack with `down`")


def is_taken(address):
    """Whether something listens on `address`."""
    with socket.socket() as probe:
        # A connection that has only just ended does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise Problem(f"this machine has no address {address[0]}: add it to the loopback interface")
            return error.errno == errno.EADDRINUSE
    return False
