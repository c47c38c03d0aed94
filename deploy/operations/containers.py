"""Checks of the image and of compose.yaml: the image alone is not open to everybody, and what is open is published on loopback
only. Only reads files."""

import sys
from pathlib import Path

import yaml

LOOPBACK = "127.0.0.1:"


def main():
    services = yaml.safe_load(Path("deploy/compose.yaml").read_text())["services"]
    findings = [f"{name}: the port {port} is not published on loopback only" for name, service in services.items()
                for port in service.get("ports", []) if not str(port).startswith(LOOPBACK)]
    for name in ("ingest", "query-api"):
        if services[name]["environment"].get("BOOKEND_ACCESS") != "open":
            findings.append(f"{name}: it would not start without keys; set BOOKEND_ACCESS: open")
    instructions = [line for line in Path("deploy/Dockerfile").read_text().splitlines() if not line.startswith("#")]
    if any("BOOKEND_ACCESS" in line for line in instructions):
        findings.append("Dockerfile: the image must not be open to everybody")
    for finding in findings:
        print(finding)
    print(f"{len(services)} services of compose.yaml, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
