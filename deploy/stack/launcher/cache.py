"""What all stacks share: Java, and the jars of the servers, which Maven downloads once for each version of pom.xml.

The cache is the folder ~/.cache/bookend/stack, or the one that BOOKEND_STACK_CACHE names.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from launcher.locks import held
from launcher.problem import Problem

CONF = Path(__file__).resolve().parent.parent / "servers"


def folder():
    """Returns the folder of the cache."""
    named = os.environ.get("BOOKEND_STACK_CACHE")
    return Path(named).resolve() if named else Path.home() / ".cache" / "bookend" / "stack"


@dataclass
class Runtime:
    """How to run the servers: Java, the folder of the jars, and for each service the option for its class archive."""

    java: str
    jars: Path
    archives: dict = field(default_factory=dict)


def runtime():
    """Finds Java and, on the first run, downloads the jars."""
    program = java()
    return Runtime(program, jars(program))


def jars(java):
    """Returns the folder with a folder of jars for each service. Downloads them if they are missing."""
    version = hashlib.sha256((CONF / "pom.xml").read_bytes()).hexdigest()[:12]
    kept = folder() / f"jars-{version}"
    if kept.is_dir():
        return kept
    with held(folder() / "lock"):
        if not kept.is_dir():
            fetch(kept, java)
    return kept


def fetch(kept, java):
    """Downloads the jars into the folder `kept`, which appears only when it is complete."""
    if not shutil.which("mvn"):
        raise Problem("cannot download the servers: Maven is not installed; install it (on Debian: apt-get install maven)")
    print("downloading the jars of Kafka and Cassandra (107 MB), which happens only once", file=sys.stderr)
    incoming = kept.with_name(kept.name + ".incoming")
    shutil.rmtree(incoming, ignore_errors=True)
    for service in ("kafka", "cassandra"):
        command = ["mvn", "--quiet", "--batch-mode", "--file", CONF / "pom.xml", "--activate-profiles", service]
        command += ["dependency:copy-dependencies", f"-Dlibs={incoming / service}"]
        home = str(Path(java).resolve().parent.parent)
        result = subprocess.run(command, env={**os.environ, "JAVA_HOME": home}, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, check=False)
        if result.returncode or not any((incoming / service).glob("*.jar")):
            raise Problem(f"Maven cannot download {service}:\n{result.stdout}")
    incoming.rename(kept)


def java():
    """Returns the path of Java 17, the only version that both servers support."""
    seen = []
    for program in candidates():
        try:
            output = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr
        except OSError:
            continue
        version = re.search(r'version "(\d+)', output)
        if version and version[1] == "17":
            return program
        seen.append(f"{program} is {version[1] if version else 'unknown'}")
    found = f" ({', '.join(seen)})" if seen else ""
    raise Problem(f"Java 17 not found{found}; set JAVA_HOME, or install it (on Debian: apt-get install openjdk-17-jre-headless)")


def candidates():
    """Yields possible paths of Java, the most explicit one first."""
    if os.environ.get("JAVA_HOME"):
        yield os.path.join(os.environ["JAVA_HOME"], "bin", "java")
    if shutil.which("java"):
        yield shutil.which("java")
    yield from map(str, sorted(Path("/usr/lib/jvm").glob("*17*/bin/java")))
