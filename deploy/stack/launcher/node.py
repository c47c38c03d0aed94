"""A server process: its pid file, its log and its state; starting and stopping it.

After a crash another process may have the same pid, so the command line of the process is checked too.
"""

import os
import signal
import subprocess
import time
from pathlib import Path

from launcher.problem import Problem

# Seconds that a server has to stop before it is killed.
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
        self.log_start = 0

    @staticmethod
    def all_in(stack):
        """Yields every node of `stack` that has a pid file, so that stopping them needs no plan."""
        for file in sorted(stack.glob("*.pid")):
            service, _, n = file.stem.rpartition("-")
            if service and n.isdigit():
                yield Node(stack, service, int(n))

    def pid(self):
        """Returns the process id of this node, or None if it is not running."""
        if self.process:
            # A child of this process, which has no command line right after its start.
            return self.process.pid if self.process.poll() is None else None
        try:
            pid = int(self.pid_file.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        # The command line is empty if the process has exited but was not waited for.
        return pid if os.fsencode(f"{self.dir}/") in command else None

    def state(self):
        """Returns `running`, `stopped` (by a signal) or `dead`."""
        pid = self.pid()
        if pid is None:
            return "dead"
        try:
            # The state follows the name, which is in parentheses and may contain anything.
            letter = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return "dead"
        return "stopped" if letter in "Tt" else "running"

    def start(self, command, kept_open):
        """Starts the process in its own session, so that neither Ctrl-C nor closing the terminal stops it.

        The process inherits the file `kept_open`, the lock on the port offset.
        """
        with open(self.log, "ab") as log:
            self.log_start = log.tell()
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

    def log_tail(self, lines=25):
        """Returns the last lines of the log since the start."""
        try:
            text = self.log.read_bytes()[self.log_start :].decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])


def stop(nodes, limit=STOP_LIMIT):
    """Stops `nodes` with SIGTERM, and with SIGKILL after `limit` seconds. Returns the names of those that were running."""
    nodes = list(nodes)
    running = [node for node in nodes if node.pid()]
    for node in running:
        # A process that was stopped by a signal must continue before it can handle SIGTERM.
        send_signal(node, signal.SIGTERM)
        send_signal(node, signal.SIGCONT)
    if not all_end(running, limit):
        for node in running:
            send_signal(node, signal.SIGKILL)
        if not all_end(running, STOP_LIMIT):
            left = ", ".join(f"{node.name} ({node.pid()})" for node in running if node.pid())
            raise Problem(f"still running after SIGKILL: {left}; check for a hanging disk")
    for node in nodes:
        node.pid_file.unlink(missing_ok=True)
    return [node.name for node in running]


def send_signal(node, number):
    """Sends the signal `number` if the process is running."""
    pid = node.pid()
    if pid is not None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def all_end(nodes, limit):
    """Waits until no node is running. Returns False after `limit` seconds."""
    until = time.monotonic() + limit
    while any(node.pid() for node in nodes):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
