"""Cassandra: a node's files, its command line, when it serves, and its one user."""

from urllib.parse import quote

from launcher import cql_wire
from launcher.plan import USER
from launcher.template import CONF, fill

MAIN = "org.apache.cassandra.service.CassandraDaemon"
# The ring in equal parts.
TOKENS = {1: [0], 3: [-9223372036854775808, -3074457345618258603, 3074457345618258602]}


def prepare(plan, nodes, runtime):
    """Writes the configuration of `nodes`."""
    for node in nodes:
        (node.dir / "tmp").mkdir(parents=True, exist_ok=True)
        values = values_of(plan, node, runtime)
        # What is measured must pay for its fsync.
        memory = ["cassandra/bench.opts"] if plan.bench else ["small.opts", "cassandra/unsynced.opts"]
        (node.dir / "jvm.opts").write_text(fill([*memory, "cassandra/jvm.opts"], values))
        commits = "periodic" if plan.bench == "periodic" else "synced"
        files = ["cassandra/cassandra.yaml", f"cassandra/{commits}.yaml"] + ["cassandra/cassandra-tls.yaml"] * plan.tls
        (node.dir / "cassandra.yaml").write_text(fill(files, values))


def values_of(plan, node, runtime):
    """What the templates ask for."""
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
    """Runs the node."""
    return [runtime.java, f"@{node.dir}/jvm.opts", MAIN]


def serves(plan, node, whole):
    """Whether `node` serves clients; `whole` asks for the whole stack, which has only just been started."""
    if plan.tls:
        see_to_the_user(plan, node)
    with cql_wire.Connection(plan, node.n, USER, plan.password) as session:
        session.query("SELECT cluster_name FROM system.local")
        if whole and plan.nodes > 1:
            # The port opens seconds before the node knows the others. This keyspace has a replica on every one.
            session.query("SELECT status FROM system_distributed.view_build_status"
                          " WHERE keyspace_name = 'x' AND view_name = 'y'", cql_wire.ALL)
            return session.query("SELECT data_center FROM system.peers_v2") == plan.nodes - 1
    return True


def see_to_the_user(plan, node):
    """Makes our user, who may do everything, and drops the one whose password everybody knows."""
    try:
        with cql_wire.Connection(plan, node.n, USER, plan.password) as session:
            session.query("DROP ROLE IF EXISTS cassandra", cql_wire.QUORUM)
    except cql_wire.Refused as refused:
        if refused.code != cql_wire.BAD_CREDENTIALS:
            raise
        with cql_wire.Connection(plan, node.n, "cassandra", "cassandra") as session:
            session.query(f"CREATE ROLE IF NOT EXISTS {USER} WITH SUPERUSER = true AND LOGIN = true"
                          f" AND PASSWORD = '{plan.password}'", cql_wire.QUORUM)
        with cql_wire.Connection(plan, node.n, USER, plan.password) as session:
            session.query("DROP ROLE IF EXISTS cassandra", cql_wire.QUORUM)
