"""Class archives: Java maps them instead of reading the jars, which saves most of a second and of the work of every start.

They fit one Java and one set of jars, so they are kept under a name made of both: a stale one is never looked at.
"""

import hashlib
import shutil
import subprocess
import sys

from launcher import cache, cassandra, kafka, locks
from launcher.node import Node, stop
from launcher.plan import SERVICES, Plan
from launcher.start import launch, wait

# Writing one takes up to half a minute on a slow machine.
LIMIT = 180


def make(runtime):
    """Makes the archives unless they are there."""
    kept = folder(runtime)
    with locks.held(cache.folder() / "archives.lock"):
        if kept.is_dir():
            return
        print("making class archives, once", file=sys.stderr)
        coming = kept.with_name(kept.name + ".coming")
        stack = coming / "stack"
        stop(Node.all_in(stack))
        shutil.rmtree(coming, ignore_errors=True)
        plan = Plan.new(stack, 1, False, False, SERVICES, 0)
        plan.offset, lock = locks.claim_free(cache.folder(), plan.addresses_at)
        nodes = [Node(stack, service, 1) for service in SERVICES]
        plan.save()
        try:
            # The first run makes what a first run makes; the second one is what is kept.
            launch(plan, nodes, runtime, lock)
            wait(plan, nodes, set(SERVICES))
            stop(nodes)
            for node in nodes:
                command = (kafka if node.service == "kafka" else cassandra).command(node, runtime)
                node.start([command[0], f"-XX:ArchiveClassesAtExit={coming / node.service}.jsa", *command[1:]], lock)
            wait(plan, nodes, set(SERVICES))
        finally:
            stop(nodes, LIMIT)
        shutil.rmtree(stack)
        coming.rename(kept)


def use(runtime):
    """Lets the servers of `runtime` be started from the archives, if there are any."""
    kept = folder(runtime)
    for service in SERVICES:
        if (kept / f"{service}.jsa").is_file():
            runtime.archives[service] = f'"-XX:SharedArchiveFile={kept / service}.jsa"'


def folder(runtime):
    """Where the archives for this Java and these jars are."""
    said = subprocess.run([runtime.java, "-version"], capture_output=True, check=False).stderr
    jars = [(str(jar), jar.stat().st_size, jar.stat().st_mtime_ns) for jar in sorted(runtime.jars.glob("*/*.jar"))]
    version = hashlib.sha256(said + repr((runtime.java, jars)).encode()).hexdigest()[:12]
    return cache.folder() / f"archives-{version}"
