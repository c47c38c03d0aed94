"""What a stack consists of: its settings, which it keeps for its whole life in DIR/stack.json, and its ports."""

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from launcher.problem import Problem

SERVICES = ("kafka", "cassandra")
USER = "app"

# Ports of the first node; an offset moves all of them. The last one in use with 3 nodes is Kafka's 9294.
KAFKA_PORT = 9092
CQL_PORT = 9042
STORAGE_PORT = 7000
JMX_PORT = 7199
HIGHEST_PORT = 9294

# From here on the kernel hands out ports by itself.
EPHEMERAL_PORTS = 32768


@dataclass
class Plan:
    """The settings of the stack in `dir`."""

    dir: Path
    nodes: int
    tls: bool
    bench: str | None
    services: tuple
    offset: int
    cluster_id: str
    password: str

    @staticmethod
    def new(dir, nodes, tls, bench, services, offset):
        """A plan for a new stack, with an identity and a password of its own."""
        # Kafka wants the 22 characters of 16 bytes.
        cluster_id = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        return Plan(dir, nodes, tls, bench, tuple(services), offset, cluster_id, secrets.token_hex(16))

    @staticmethod
    def load(dir):
        """The plan of the stack in `dir`, None when there is none."""
        try:
            text = (dir / "stack.json").read_text()
        except FileNotFoundError:
            return None
        try:
            fields = json.loads(text)
            return Plan(**{**fields, "dir": dir, "services": tuple(fields["services"])})
        except (ValueError, TypeError, KeyError) as error:
            raise Problem(f"{dir}/stack.json cannot be read ({error}): stop what runs with `down --wipe`, then begin anew")

    def save(self):
        """Keeps it, whole or not at all; only the owner can read the password."""
        self.dir.mkdir(parents=True, exist_ok=True)
        write_secret(self.dir / "stack.json", json.dumps({**asdict(self), "dir": str(self.dir)}, indent=2) + "\n")

    def numbers(self):
        """The nodes of each service, counted from 1."""
        return range(1, self.nodes + 1)

    def kafka_port(self, n):
        """Where node `n` serves clients; one above is for the controllers, two above for the other brokers."""
        return KAFKA_PORT + 100 * (n - 1) + self.offset

    def cql(self, n):
        """Where node `n` serves clients: drivers want all nodes on one port, so each has an address of its own."""
        return f"127.0.0.{n}", CQL_PORT + self.offset

    def storage(self, n):
        """Where node `n` speaks with the other nodes."""
        return f"127.0.0.{n}", STORAGE_PORT + self.offset

    def jmx_port(self, n):
        """Where nodetool finds node `n`."""
        return JMX_PORT + (n - 1) + self.offset

    def addresses(self, service, n):
        """Everything that node `n` of `service` listens on."""
        if service == "kafka":
            return [("127.0.0.1", self.kafka_port(n) + above) for above in range(3)]
        return [self.cql(n), self.storage(n), ("127.0.0.1", self.jmx_port(n))]

    def addresses_at(self, offset):
        """Everything that the stack would listen on with another offset."""
        moved = replace(self, offset=offset)
        return [address for service in self.services for n in self.numbers() for address in moved.addresses(service, n)]

    @property
    def ca_file(self):
        """The certificate of who signed the servers' certificates."""
        return self.dir / "tls" / "ca.pem"


def write_secret(path, text):
    """Writes `text` to `path`, for the owner alone, and whole: a reader never sees half of it."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    beside.replace(path)
