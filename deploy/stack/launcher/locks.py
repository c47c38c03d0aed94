"""Locks between stacks, and checks for free ports.

The holder of its lock owns a port offset. The servers inherit the open file, so they own it until the last one exits.
The file names the stack that holds it. As long as that stack exists, `free` leaves its offset to it, because its servers
may be started again.
"""

import errno
import fcntl
import os
import socket
from contextlib import contextmanager
from pathlib import Path

from launcher.plan import EPHEMERAL_PORTS, HIGHEST_PORT, Plan
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
    file = open(folder / str(offset), "a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return file
    except BlockingIOError:
        file.close()
        return None


def claim_free(cache, plan):
    """Returns an unused offset for `plan`, and its lock. Takes one of a stopped stack only if no other is left."""
    for takes_stopped in (False, True):
        for offset in FREE_OFFSETS:
            lock = claim(cache, offset)
            if not lock:
                continue
            is_free = takes_stopped or not has_stopped_stack(lock, offset)
            if is_free and not any(is_in_use(address) for address in plan.addresses_at(offset)):
                lock.truncate(0)
                lock.write(str(plan.dir.resolve()))
                lock.flush()
                return offset, lock
            lock.close()
    raise Problem("no port offset is free; stop another stack with `down`")


def has_stopped_stack(lock, offset):
    """Whether the stack that held this lock last still exists with this offset."""
    lock.seek(0)
    owner = lock.read()
    try:
        plan = Plan.load(Path(owner)) if owner else None
    except Problem:
        return False
    return plan is not None and plan.offset == offset


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
