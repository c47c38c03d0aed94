"""One server as a process: its pid file, its log, whether it runs, and how it is started and stopped.

A pid alone proves nothing: after a crash its number may belong to another process, so the command line is looked at too.
"""

import os
import signal
import subprocess
import time
from pathlib import Path

from launcher.problem import Problem

# How long an orderly stop may take before it is a kill.
STOP_LIMIT = 20


class Node:
    """Node `n` of `service` in the stack at `stack`."""

    def __init__(self, stack, service, n):
        self.service, self.n = service, n
        self.name = f"{service}-{n}"
        self.dir = stack / self.name
        self.log = stack / f"{self.name}.log"
        self.pid_file = stack / f"{self.name}.pid"
        self.process = None
        self.log_began = 0

    @staticmethod
    def all_in(stack):
        """Every node that was ever started in `stack`, by its pid file, so that no plan is needed to stop them."""
        for file in sorted(stack.glob("*.pid")):
            service, _, n = file.stem.rpartition("-")
            if service and n.isdigit():
                yield Node(stack, service, int(n))

    def pid(self):
        """The process that runs this node, None when there is none."""
        if self.process:
            # Our own child: right after its start it has no command line yet.
            return self.process.pid if self.process.poll() is None else None
        try:
            pid = int(self.pid_file.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        # Empty when it has ended and nobody has asked for its status yet.
        return pid if os.fsencode(f"{self.dir}/") in command else None

    def state(self):
        """`running`, `stopped` (by a signal, to go on later) or `dead`."""
        pid = self.pid()
        if pid is None:
            return "dead"
        try:
            # After the name, which stands in parentheses and may hold anything.
            letter = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return "dead"
        return "stopped" if letter in "Tt" else "running"

    def start(self, command, kept_open):
        """Starts it in a session of its own, so that neither a Ctrl-C nor the end of a terminal reaches it.

        It holds the file `kept_open` open as long as it lives: the lock on the port offset.
        """
        with open(self.log, "ab") as log:
            self.log_began = log.tell()
            self.process = subprocess.Popen(
                [str(word) for word in command],
                cwd=self.dir,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[kept_open.fileno()] if kept_open else [],
            )
        self.pid_file.write_text(f"{self.process.pid}\n")

    def last_words(self, lines=25):
        """The end of what its log says since it was started."""
        try:
            text = self.log.read_bytes()[self.log_began :].decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])


def stop(nodes, limit=STOP_LIMIT):
    """Stops `nodes` together: SIGTERM, and SIGKILL for what takes longer than `limit` seconds. Returns who ran."""
    nodes = list(nodes)
    running = [node for node in nodes if node.pid()]
    for node in running:
        # One that was stopped by a signal has to go on to hear that it is to end.
        tell(node, signal.SIGTERM)
        tell(node, signal.SIGCONT)
    if not all_end(running, limit):
        for node in running:
            tell(node, signal.SIGKILL)
        if not all_end(running, STOP_LIMIT):
            left = ", ".join(f"{node.name} ({node.pid()})" for node in running if node.pid())
            raise Problem(f"not even a kill ends these: {left}")
    for node in nodes:
        node.pid_file.unlink(missing_ok=True)
    return [node.name for node in running]


def tell(node, what):
    """Sends the signal `what`, if there is somebody to hear it."""
    pid = node.pid()
    if pid is not None:
        try:
            os.kill(pid, what)
        except ProcessLookupError:
            pass


def all_end(nodes, limit):
    """Waits until none of `nodes` runs; False when it takes longer than `limit` seconds."""
    until = time.monotonic() + limit
    while any(node.pid() for node in nodes):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
