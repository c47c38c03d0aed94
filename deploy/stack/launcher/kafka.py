"""Kafka: the files of a node, its storage, its command line, and its readiness."""

import subprocess

from launcher import kafka_wire
from launcher.plan import USER
from launcher.problem import Problem
from launcher.template import CONF, fill


def prepare(plan, nodes, runtime):
    """Writes the configuration of `nodes`, and formats the storage of new ones."""
    formats = []
    for node in nodes:
        (node.dir / "tmp").mkdir(parents=True, exist_ok=True)
        values = values_of(plan, node, runtime)
        memory = "kafka/bench.opts" if plan.bench else "small.opts"
        (node.dir / "jvm.opts").write_text(fill([memory, "kafka/jvm.opts"], values))
        properties = ["kafka/server.properties"] + ["kafka/server-tls.properties"] * plan.tls
        path = node.dir / "server.properties"
        path.touch(mode=0o600)
        # The last value of a property counts.
        more = plan.dir / "kafka.properties"
        path.write_text(fill(properties, values) + (more.read_text() if more.exists() else ""))
        if not (node.dir / "data" / "meta.properties").exists():
            formats.append((node, subprocess.Popen(
                format_command(plan, node, runtime), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)))
    for node, process in formats:
        output, _ = process.communicate()
        if process.returncode:
            raise Problem(f"cannot format the storage of {node.name}:\n{output}")


def values_of(plan, node, runtime):
    """Returns the values for the templates."""
    port = plan.kafka_port(node.n)
    return {
        "N": node.n,
        "DIR": node.dir,
        "JARS": runtime.jars,
        "ARCHIVE": runtime.archives.get("kafka", ""),
        "HEAP": "256m",
        "CONF": CONF,
        "VOTERS": ",".join(f"{n}@127.0.0.1:{plan.kafka_port(n) + 1}" for n in plan.numbers()),
        "CLIENT_PORT": port,
        "CONTROLLER_PORT": port + 1,
        "INTERNAL_PORT": plan.internal_port(node.n),
        "CLIENT_PROTOCOL": "SASL_SSL" if plan.tls else "PLAINTEXT",
        "REPLICAS": min(plan.nodes, 3),
        "IN_SYNC": min(plan.nodes, 2),
        "TLS": plan.dir / "tls",
        "USER": USER,
        "PASSWORD": plan.password,
    }


def format_command(plan, node, runtime):
    """Returns the command that formats the storage, with the cluster id, and the users and the SCRAM password of the stack."""
    command = [runtime.java, f"@{node.dir}/jvm.opts", "kafka.tools.StorageTool", "format", "--ignore-formatted"]
    # One word, because the id may begin with a hyphen.
    command += [f"--cluster-id={plan.cluster_id}", "--config", str(node.dir / "server.properties")]
    for user in [USER, *plan.users] if plan.tls else []:
        command += ["--add-scram", f"SCRAM-SHA-512=[name={user},password={plan.password}]"]
    return command


def command(node, runtime):
    """Returns the command that runs the broker, which is also a controller."""
    return [runtime.java, f"@{node.dir}/jvm.opts", "kafka.Kafka", node.dir / "server.properties"]


def serves(plan, node, whole):
    """Whether `node` accepts clients. With `whole`, all brokers must be registered, for a stack that has just started."""
    with kafka_wire.Connection(plan, node.n) as broker:
        brokers = broker.brokers()
        if not whole:
            return node.n in brokers
        if len(brokers) < plan.nodes:
            return False
        # Kafka creates the topic of the committed offsets for the first consumer group, which then waits for seconds. Creating
        # it here keeps that delay out of the tests.
        broker.create_topic("__consumer_offsets", partitions=3, replicas=min(plan.nodes, 3),
                            settings={"cleanup.policy": "compact", "compression.type": "producer", "segment.bytes": "104857600"})
        return True
