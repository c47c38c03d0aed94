"""What stacks share: Java, and the servers' jars, fetched by Maven once for each version of pom.xml.

The folder is ~/.cache/bookend/stack, or what BOOKEND_STACK_CACHE says.
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
    """The cache."""
    named = os.environ.get("BOOKEND_STACK_CACHE")
    return Path(named).resolve() if named else Path.home() / ".cache" / "bookend" / "stack"


@dataclass
class Runtime:
    """What servers are run with: a Java, the folder of the jars, and for a service a line about its class archive."""

    java: str
    jars: Path
    archives: dict = field(default_factory=dict)


def runtime():
    """Finds Java and, the first time, fetches the jars."""
    program = java()
    return Runtime(program, jars(program))


def jars(java):
    """The folder that holds the jars of the servers, a folder each; fetches them when they are not there."""
    version = hashlib.sha256((CONF / "pom.xml").read_bytes()).hexdigest()[:12]
    kept = folder() / f"jars-{version}"
    if kept.is_dir():
        return kept
    with held(folder() / "lock"):
        if not kept.is_dir():
            fetch(kept, java)
    return kept


def fetch(kept, java):
    """Fetches the jars into the folder `kept`, which comes into being whole."""
    if not shutil.which("mvn"):
        raise Problem("Maven is needed to fetch the servers the first time, and there is no `mvn` (Debian: apt-get install maven)")
    print("fetching the jars of Kafka and Cassandra, once: 107 MB", file=sys.stderr)
    coming = kept.with_name(kept.name + ".coming")
    shutil.rmtree(coming, ignore_errors=True)
    for service in ("kafka", "cassandra"):
        command = ["mvn", "--quiet", "--batch-mode", "--file", CONF / "pom.xml", "--activate-profiles", service]
        command += ["dependency:copy-dependencies", f"-Dlibs={coming / service}"]
        home = str(Path(java).resolve().parent.parent)
        result = subprocess.run(command, env={**os.environ, "JAVA_HOME": home}, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, check=False)
        if result.returncode or not any((coming / service).glob("*.jar")):
            raise Problem(f"Maven could not fetch {service}:\n{result.stdout}")
    coming.rename(kept)


def java():
    """A Java 17, the one version that both servers are known to run on."""
    seen = []
    for program in candidates():
        try:
            said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr
        except OSError:
            continue
        version = re.search(r'version "(\d+)', said)
        if version and version[1] == "17":
            return program
        seen.append(f"{program} is {version[1] if version else 'unknown'}")
    found = f" ({', '.join(seen)})" if seen else ""
    raise Problem(f"Java 17 is needed{found}: set JAVA_HOME, or on Debian: apt-get install openjdk-17-jre-headless")


def candidates():
    """Where a Java may be, the most explicit place first."""
    if os.environ.get("JAVA_HOME"):
        yield os.path.join(os.environ["JAVA_HOME"], "bin", "java")
    if shutil.which("java"):
        yield shutil.which("java")
    yield from map(str, sorted(Path("/usr/lib/jvm").glob("*17*/bin/java")))
