"""The settings of a stack, which DIR/stack.json keeps for its whole life, and its ports."""

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from launcher.problem import Problem

SERVICES = ("kafka", "cassandra")
USER = "app"

# The ports of the first node, without the offset. The highest port of three nodes is 9294, of Kafka.
KAFKA_PORT = 9092
CQL_PORT = 9042
STORAGE_PORT = 7000
JMX_PORT = 7199
HIGHEST_PORT = 9294

# The first ephemeral port of the kernel.
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
    # Lines for cassandra.yaml.
    cassandra_settings: tuple = ()
    # Users beside USER, with the same password. They have no rights.
    users: tuple = ()

    @staticmethod
    def new(dir, nodes, tls, bench, services, offset, cassandra_settings=(), users=()):
        """Returns the plan of a new stack, with a random cluster id and password."""
        # Kafka requires 16 bytes as 22 characters of base64.
        cluster_id = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        return Plan(dir, nodes, tls, bench, tuple(services), offset, cluster_id, secrets.token_hex(16), tuple(cassandra_settings),
                    tuple(users))

    @staticmethod
    def load(dir):
        """Returns the plan of the stack in `dir`, or None if there is none."""
        try:
            text = (dir / "stack.json").read_text()
        except FileNotFoundError:
            return None
        try:
            fields = json.loads(text)
            return Plan(**{**fields, "dir": dir, "services": tuple(fields["services"])})
        except (ValueError, TypeError, KeyError) as error:
            raise Problem(f"cannot read {dir}/stack.json: {error}; delete the stack with `down --wipe`, then create it again")

    def save(self):
        """Writes the plan atomically. Only the owner can read the file, which contains the password."""
        self.dir.mkdir(parents=True, exist_ok=True)
        write_secret(self.dir / "stack.json", json.dumps({**asdict(self), "dir": str(self.dir)}, indent=2) + "\n")

    def numbers(self):
        """The numbers of the nodes, from 1."""
        return range(1, self.nodes + 1)

    def kafka_port(self, n):
        """The port of node `n` for clients. The next port is for controllers, the one after that for brokers."""
        return KAFKA_PORT + 100 * (n - 1) + self.offset

    def internal_port(self, n):
        """The port of node `n` for brokers, where nobody logs in and everything is allowed."""
        return self.kafka_port(n) + 2

    def cql(self, n):
        """The address of node `n` for clients. Drivers require the same port on all nodes, so every node has its own address."""
        return f"127.0.0.{n}", CQL_PORT + self.offset

    def storage(self, n):
        """The address of node `n` for the other nodes."""
        return f"127.0.0.{n}", STORAGE_PORT + self.offset

    def jmx_port(self, n):
        """The port of node `n` for nodetool."""
        return JMX_PORT + (n - 1) + self.offset

    def addresses(self, service, n):
        """Every address that node `n` of `service` listens on."""
        if service == "kafka":
            return [("127.0.0.1", self.kafka_port(n) + above) for above in range(3)]
        return [self.cql(n), self.storage(n), ("127.0.0.1", self.jmx_port(n))]

    def addresses_at(self, offset):
        """Every address that the stack would listen on with another offset."""
        moved = replace(self, offset=offset)
        return [address for service in self.services for n in self.numbers() for address in moved.addresses(service, n)]

    @property
    def ca_file(self):
        """The certificate of the authority that signed the server certificate."""
        return self.dir / "tls" / "ca.pem"


def write_secret(path, text):
    """Writes `text` to `path` atomically, readable only by the owner."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    beside.replace(path)
