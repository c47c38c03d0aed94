"""Checks of the dashboards that running their queries does not make: every data source is provisioned, every panel has its own
id, its own place and a unit, and every variable is defined. Only reads files."""

import json
import re
import sys
from pathlib import Path

import yaml

GRAFANA = Path("deploy/grafana")
# Grafana defines these.
BUILT_IN = {"__rate_interval"}


def main():
    sources = {source["uid"] for path in GRAFANA.glob("provisioning/datasources/*.yml") for source in yaml.safe_load(path.read_text())["datasources"]}
    paths = sorted(GRAFANA.glob("dashboards/*.json"))
    findings = [f"{path.name}: {finding}" for path in paths for finding in check(json.loads(path.read_text()), sources)]
    for finding in findings:
        print(finding)
    print(f"{len(paths)} dashboards, {len(findings)} findings")
    return 1 if findings or not paths else 0


def check(dashboard, sources):
    variables = {variable["name"] for variable in dashboard["templating"]["list"]} | BUILT_IN
    ids, occupied = set(), {}
    for panel in dashboard["panels"]:
        title = panel["title"]
        if panel["id"] in ids:
            yield f"{title}: another panel has the same id"
        ids.add(panel["id"])
        at = panel["gridPos"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                if x >= 24 or occupied.setdefault((x, y), title) != title:
                    yield f"{title}: overlaps {occupied.get((x, y), 'the right margin')}"
                    break
        if panel["type"] == "row":
            continue
        if not panel["targets"] or "unit" not in panel["fieldConfig"]["defaults"]:
            yield f"{title}: a query or a unit is missing"
        for target in panel["targets"]:
            if target["datasource"]["uid"] not in sources:
                yield f"{title}: the data source is not provisioned: {target['datasource']['uid']}"
            for name in set(re.findall(r"\$(\w+)", target["expr"])) - variables:
                yield f"{title}: the variable is not defined: ${name}"


if __name__ == "__main__":
    sys.exit(main())
