"""How to connect to a stack: flags for the user, and the same settings in DIR/stack.env for programs."""

import shlex

from launcher.plan import USER, write_secret


def flags(plan):
    """Returns the flags that connect Bookend to the stack."""
    words = []
    if "kafka" in plan.services:
        words += ["--kafka-brokers " + settings(plan)["BOOKEND_KAFKA_BROKERS"]]
        if plan.tls:
            words += ["--kafka-security sasl-tls --kafka-mechanism SCRAM-SHA-512",
                      f"--kafka-username {USER} --kafka-ca-file {shlex.quote(str(plan.ca_file))}"]
    if "cassandra" in plan.services:
        words += ["--cassandra-nodes " + settings(plan)["BOOKEND_CASSANDRA_NODES"]]
        if plan.tls:
            words += [f"--cassandra-username {USER} --cassandra-tls --cassandra-ca-file {shlex.quote(str(plan.ca_file))}"]
    return words


def passwords(plan):
    """Returns the variables that have no flag."""
    return {key: value for key, value in settings(plan).items() if key.endswith("_PASSWORD")}


def settings(plan):
    """Returns every setting by its variable."""
    found = {}
    if "kafka" in plan.services:
        found["BOOKEND_KAFKA_BROKERS"] = ",".join(f"127.0.0.1:{plan.kafka_port(n)}" for n in plan.numbers())
        if plan.tls:
            found |= {
                "BOOKEND_KAFKA_SECURITY": "sasl-tls",
                "BOOKEND_KAFKA_MECHANISM": "SCRAM-SHA-512",
                "BOOKEND_KAFKA_USERNAME": USER,
                "BOOKEND_KAFKA_PASSWORD": plan.password,
                "BOOKEND_KAFKA_CA_FILE": str(plan.ca_file),
            }
    if "cassandra" in plan.services:
        found["BOOKEND_CASSANDRA_NODES"] = ",".join("{}:{}".format(*plan.cql(n)) for n in plan.numbers())
        if plan.tls:
            found |= {
                "BOOKEND_CASSANDRA_USERNAME": USER,
                "BOOKEND_CASSANDRA_PASSWORD": plan.password,
                "BOOKEND_CASSANDRA_TLS": "true",
                "BOOKEND_CASSANDRA_CA_FILE": str(plan.ca_file),
            }
    return found


def write(plan):
    """Writes DIR/stack.env."""
    lines = [f"{key}={shlex.quote(value)}\n" for key, value in settings(plan).items()]
    write_secret(plan.dir / "stack.env", "".join(lines))


def shell_lines(plan):
    """Returns the lines that `up` prints, to be pasted into a shell."""
    lines = [f"export {key}={shlex.quote(value)}" for key, value in passwords(plan).items()]
    return "\n".join([*lines, *flags(plan)])
