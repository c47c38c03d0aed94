"""Starts what is not running of a stack and waits until it serves; when that fails, stops what it started."""

import time

from launcher import cassandra, certs, cql_wire, kafka, kafka_wire, locks, report
from launcher.node import Node, stop
from launcher.problem import Problem

# How long a stack may take until it serves, on a machine that is busy with other things.
LIMIT = 180
# What a client meets while a server is on its way: nobody listens, it hangs up, it says no.
NOT_YET = (OSError, kafka_wire.Refused, cql_wire.Refused)


def start(plan, lock, runtime, only=None):
    """Brings up the stack of `plan`, or of its nodes those named in `only`; returns the nodes that were started."""
    nodes = [Node(plan.dir, service, n) for service in plan.services for n in plan.numbers()]
    unknown = set(only or ()) - {node.name for node in nodes}
    if unknown:
        raise Problem(f"there is no {', '.join(sorted(unknown))} in this stack; it has {', '.join(node.name for node in nodes)}")
    wanted = [node for node in nodes if not only or node.name in only]
    frozen = [f"kill -CONT {node.pid()}  # {node.name}" for node in wanted if node.state() == "stopped"]
    missing = [node for node in wanted if node.pid() is None]
    whole = {service for service in plan.services if all(node in missing for node in nodes if node.service == service)}
    if frozen:
        raise Problem("stopped by a signal, and would not answer; let go on with\n  " + "\n  ".join(frozen))
    see_to_the_ports(plan, missing)
    # From here on there is something that has to be stopped and can be continued.
    plan.save()
    try:
        launch(plan, missing, runtime, lock)
        wait(plan, missing, whole)
    except BaseException:
        stop(missing)
        raise
    report.write(plan)
    return missing


def see_to_the_ports(plan, missing):
    """A port that is taken is told here, and not by a server's log."""
    taken = [address for node in missing for address in plan.addresses(node.service, node.n) if locks.is_taken(address)]
    if taken:
        names = ", ".join("{}:{}".format(*address) for address in taken)
        raise Problem(f"taken by another program: {names}; give another --port-offset")


def launch(plan, missing, runtime, lock):
    """Starts the processes; Cassandra first, which takes longer, so that Kafka's storage is formatted meanwhile."""
    if plan.tls and not (plan.dir / "tls" / "server.pem").exists():
        certs.make(plan.dir / "tls")
    of = {service: [node for node in missing if node.service == service] for service in ("cassandra", "kafka")}
    cassandra.prepare(plan, of["cassandra"], runtime)
    for node in of["cassandra"]:
        node.start(cassandra.command(node, runtime), lock)
    kafka.prepare(plan, of["kafka"], runtime)
    for node in of["kafka"]:
        node.start(kafka.command(node, runtime), lock)


def wait(plan, missing, whole):
    """Waits until each of `missing` serves; those of the services in `whole` with all their neighbours."""
    until = time.monotonic() + LIMIT
    for node in missing:
        serves = kafka.serves if node.service == "kafka" else cassandra.serves
        last = "it says that it is not ready"
        while True:
            try:
                if serves(plan, node, node.service in whole):
                    break
            except NOT_YET as error:
                last = str(error)
            ended = [other for other in missing if other.pid() is None]
            if ended:
                raise Problem(f"{ended[0].name} has ended; its last words, from {ended[0].log}:\n{ended[0].last_words()}")
            if time.monotonic() > until:
                raise Problem(f"{node.name} does not serve after {LIMIT} s ({last}); its last words, from {node.log}:\n"
                              f"{node.last_words()}")
            time.sleep(0.1)
