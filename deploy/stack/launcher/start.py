"""Starts the nodes of a stack that are not running and waits until they accept clients. After a failure it stops them again."""

import time

from launcher import cassandra, certs, cql_wire, kafka, kafka_wire, locks, report
from launcher.node import Node, stop
from launcher.problem import Problem

# Seconds until all nodes must accept clients, on a busy machine.
LIMIT = 180
# The errors of a client while a server is starting: no listener, a closed connection, or an error reply.
NOT_YET = (OSError, kafka_wire.Refused, cql_wire.Refused)


def start(plan, lock, runtime, only=None):
    """Starts the stack of `plan`, or only the nodes named in `only`. Returns the nodes that were started."""
    nodes = [Node(plan.dir, service, n) for service in plan.services for n in plan.numbers()]
    unknown = set(only or ()) - {node.name for node in nodes}
    if unknown:
        raise Problem(f"unknown node {', '.join(sorted(unknown))}; this stack has {', '.join(node.name for node in nodes)}")
    wanted = [node for node in nodes if not only or node.name in only]
    frozen = [f"kill -CONT {node.pid()}  # {node.name}" for node in wanted if node.state() == "stopped"]
    missing = [node for node in wanted if node.pid() is None]
    whole = {service for service in plan.services if all(node in missing for node in nodes if node.service == service)}
    if frozen:
        raise Problem("some nodes are stopped by a signal; continue them with\n  " + "\n  ".join(frozen))
    check_ports(plan, missing)
    # From here on the stack exists, so `down` and later runs of `up` need its plan.
    plan.save()
    try:
        launch(plan, missing, runtime, lock)
        wait(plan, missing, whole)
    except BaseException:
        stop(missing)
        raise
    report.write(plan)
    return missing


def check_ports(plan, missing):
    """Reports ports in use here, instead of in the log of a server."""
    in_use = [address for node in missing for address in plan.addresses(node.service, node.n) if locks.is_in_use(address)]
    if in_use:
        names = ", ".join("{}:{}".format(*address) for address in in_use)
        raise Problem(f"ports in use by another program: {names}; pass another --port-offset")


def launch(plan, missing, runtime, lock):
    """Starts the processes. Cassandra is first because it takes longer; Kafka's storage is formatted in the meantime."""
    if plan.tls and not (plan.dir / "tls" / "server.pem").exists():
        certs.create(plan.dir / "tls")
    of = {service: [node for node in missing if node.service == service] for service in ("cassandra", "kafka")}
    cassandra.prepare(plan, of["cassandra"], runtime)
    for node in of["cassandra"]:
        node.start(cassandra.command(node, runtime), lock)
    kafka.prepare(plan, of["kafka"], runtime)
    for node in of["kafka"]:
        node.start(kafka.command(node, runtime), lock)


def wait(plan, missing, whole):
    """Waits until the nodes accept clients. The nodes of the services in `whole` must also know each other."""
    until = time.monotonic() + LIMIT
    for node in missing:
        serves = kafka.serves if node.service == "kafka" else cassandra.serves
        last = "not ready"
        while True:
            try:
                if serves(plan, node, node.service in whole):
                    break
            except NOT_YET as error:
                last = str(error)
            ended = [other for other in missing if other.pid() is None]
            if ended:
                raise Problem(f"{ended[0].name} exited during its start; the end of {ended[0].log}:\n{ended[0].log_tail()}")
            if time.monotonic() > until:
                raise Problem(f"{node.name} does not accept clients after {LIMIT} s ({last}); the end of {node.log}:\n"
                              f"{node.log_tail()}")
            time.sleep(0.1)
