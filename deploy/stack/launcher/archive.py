"""Class archives, which Java maps into memory instead of reading the jars. They save most of a second at every start.

An archive fits one version of Java and one set of jars. Its name contains a hash of both, so an outdated one is never used.
"""

import hashlib
import shutil
import subprocess
import sys

from launcher import cache, cassandra, kafka, locks
from launcher.node import Node, stop
from launcher.plan import SERVICES, Plan
from launcher.start import launch, wait

# Seconds to wait for an archive. Writing one takes up to half a minute on a slow machine.
LIMIT = 180


def create(runtime):
    """Creates the archives if they do not exist."""
    kept = folder(runtime)
    with locks.held(cache.folder() / "archives.lock"):
        if kept.is_dir():
            return
        print("creating class archives, which happens only once", file=sys.stderr)
        incoming = kept.with_name(kept.name + ".incoming")
        stack = incoming / "stack"
        stop(Node.all_in(stack))
        shutil.rmtree(incoming, ignore_errors=True)
        plan = Plan.new(stack, 1, False, False, SERVICES, 0)
        plan.offset, lock = locks.claim_free(cache.folder(), plan)
        nodes = [Node(stack, service, 1) for service in SERVICES]
        plan.save()
        try:
            # The first start creates the data. The second one, a normal start, is archived.
            launch(plan, nodes, runtime, lock)
            wait(plan, nodes, set(SERVICES))
            stop(nodes)
            for node in nodes:
                command = (kafka if node.service == "kafka" else cassandra).command(node, runtime)
                node.start([command[0], f"-XX:ArchiveClassesAtExit={incoming / node.service}.jsa", *command[1:]], lock)
            wait(plan, nodes, set(SERVICES))
        finally:
            stop(nodes, LIMIT)
        shutil.rmtree(stack)
        incoming.rename(kept)


def use(runtime):
    """Makes the servers of `runtime` start from the archives, if they exist."""
    kept = folder(runtime)
    for service in SERVICES:
        if (kept / f"{service}.jsa").is_file():
            runtime.archives[service] = f'"-XX:SharedArchiveFile={kept / service}.jsa"'


def folder(runtime):
    """Returns the folder of the archives for this Java and these jars."""
    java = subprocess.run([runtime.java, "-version"], capture_output=True, check=False).stderr
    jars = [(str(jar), jar.stat().st_size, jar.stat().st_mtime_ns) for jar in sorted(runtime.jars.glob("*/*.jar"))]
    version = hashlib.sha256(java + repr((runtime.java, jars)).encode()).hexdigest()[:12]
    return cache.folder() / f"archives-{version}"
