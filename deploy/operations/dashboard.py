"""Checks of the dashboards that neither their schema nor their queries make: everything uses the chosen data source, which is the
provisioned one at first, every panel has its own id, its own place and a unit, every variable is defined, and every query that
selects an instance also selects a process. Only reads files."""

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
    defined = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    chosen = defined.get("datasource", {})
    if chosen.get("type") != "datasource" or chosen["current"]["value"] not in sources:
        yield "the variable datasource does not begin with a provisioned data source"
    for uid in uids(dashboard) - {"${datasource}"}:
        yield f"the data source is fixed: {uid}"
    variables = defined.keys() | BUILT_IN
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
            if "$instance" in target["expr"] and target["expr"].count('process=~"$process"') != target["expr"].count('instance=~"$instance"'):
                yield f"{title}: a query selects an instance and no process"
            for name in set(re.findall(r"\$(\w+)", target["expr"])) - variables:
                yield f"{title}: the variable is not defined: ${name}"


def uids(value):
    """The ids of all data sources that a part of a dashboard uses."""
    if isinstance(value, list):
        return {uid for part in value for uid in uids(part)}
    if not isinstance(value, dict):
        return set()
    own = {value["datasource"]["uid"]} if isinstance(value.get("datasource"), dict) else set()
    return own | {uid for part in value.values() for uid in uids(part)}


if __name__ == "__main__":
    sys.exit(main())
