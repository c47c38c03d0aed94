"""Cassandra: the files of a node, its command line, its readiness, and its users."""

from urllib.parse import quote

from launcher import cql_wire
from launcher.plan import USER
from launcher.template import CONF, fill

MAIN = "org.apache.cassandra.service.CassandraDaemon"
# Initial tokens that split the ring into equal parts.
TOKENS = {1: [0], 3: [-9223372036854775808, -3074457345618258603, 3074457345618258602]}


def prepare(plan, nodes, runtime):
    """Writes the configuration of `nodes`."""
    for node in nodes:
        (node.dir / "tmp").mkdir(parents=True, exist_ok=True)
        values = values_of(plan, node, runtime)
        # Benchmarks must include the cost of fsync.
        memory = ["cassandra/bench.opts"] if plan.bench else ["small.opts", "cassandra/unsynced.opts"]
        (node.dir / "jvm.opts").write_text(fill([*memory, "cassandra/jvm.opts"], values))
        commits = "periodic" if plan.bench == "periodic" else "synced"
        files = ["cassandra/cassandra.yaml", f"cassandra/{commits}.yaml"] + ["cassandra/cassandra-tls.yaml"] * plan.tls
        settings = "".join(f"{setting}\n" for setting in plan.cassandra_settings)
        (node.dir / "cassandra.yaml").write_text(fill(files, values) + settings)


def values_of(plan, node, runtime):
    """Returns the values for the templates."""
    return {
        "N": node.n,
        "DIR": node.dir,
        "DIR_URL": quote(str(node.dir)),
        "JARS": runtime.jars,
        "ARCHIVE": runtime.archives.get("cassandra", ""),
        "HEAP": "384m",
        "CONF": CONF,
        "TOKEN": TOKENS[plan.nodes][node.n - 1],
        "CQL_PORT": plan.cql(node.n)[1],
        "STORAGE_PORT": plan.storage(node.n)[1],
        "JMX_PORT": plan.jmx_port(node.n),
        "SEEDS": ",".join("{}:{}".format(*plan.storage(n)) for n in plan.numbers()),
        "REPLICAS": plan.nodes,
        "TLS": plan.dir / "tls",
    }


def command(node, runtime):
    """Returns the command that runs the node."""
    return [runtime.java, f"@{node.dir}/jvm.opts", MAIN]


def serves(plan, node, whole):
    """Whether `node` accepts clients. With `whole`, all nodes must know each other, for a stack that has just started."""
    if plan.tls:
        ensure_users(plan, node)
    with cql_wire.Connection(plan, node.n, USER, plan.password) as session:
        session.query("SELECT cluster_name FROM system.local")
        if whole and plan.nodes > 1:
            # The port opens seconds before the node knows the others. This keyspace has a replica on every node.
            session.query("SELECT status FROM system_distributed.view_build_status"
                          " WHERE keyspace_name = 'x' AND view_name = 'y'", cql_wire.ALL)
            return session.query("SELECT data_center FROM system.peers_v2") == plan.nodes - 1
    return True


def ensure_users(plan, node):
    """Creates the superuser and the other users of the stack, and drops the default superuser with its well-known password."""
    try:
        with cql_wire.Connection(plan, node.n, USER, plan.password) as session:
            finish_users(plan, session)
    except cql_wire.Refused as refused:
        if refused.code != cql_wire.BAD_CREDENTIALS:
            raise
        with cql_wire.Connection(plan, node.n, "cassandra", "cassandra") as session:
            session.query(f"CREATE ROLE IF NOT EXISTS {USER} WITH SUPERUSER = true AND LOGIN = true"
                          f" AND PASSWORD = '{plan.password}'", cql_wire.QUORUM)
        with cql_wire.Connection(plan, node.n, USER, plan.password) as session:
            finish_users(plan, session)


def finish_users(plan, session):
    """Does what the superuser of the stack has to do about the others."""
    session.query("DROP ROLE IF EXISTS cassandra", cql_wire.QUORUM)
    for user in plan.users:
        session.query(f"CREATE ROLE IF NOT EXISTS \"{user}\" WITH LOGIN = true AND PASSWORD = '{plan.password}'", cql_wire.QUORUM)
