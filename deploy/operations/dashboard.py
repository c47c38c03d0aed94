"""Checks of the dashboards what the queries do not show: that Grafana is told of the source they name, that every panel has an id
and a place of its own and says its unit, and that every variable is one that exists. Reads files alone."""

import json
import re
import sys
from pathlib import Path

import yaml

GRAFANA = Path("deploy/grafana")
# Grafana's own.
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
    ids, taken = set(), {}
    for panel in dashboard["panels"]:
        title = panel["title"]
        if panel["id"] in ids:
            yield f"{title}: another panel has its id"
        ids.add(panel["id"])
        at = panel["gridPos"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                if x >= 24 or taken.setdefault((x, y), title) != title:
                    yield f"{title}: it lies on {taken.get((x, y), 'the margin')}"
                    break
        if panel["type"] == "row":
            continue
        if not panel["targets"] or "unit" not in panel["fieldConfig"]["defaults"]:
            yield f"{title}: it has no query, or no unit"
        for target in panel["targets"]:
            if target["datasource"]["uid"] not in sources:
                yield f"{title}: Grafana is told of no source {target['datasource']['uid']}"
            for name in set(re.findall(r"\$(\w+)", target["expr"])) - variables:
                yield f"{title}: there is no variable ${name}"


if __name__ == "__main__":
    sys.exit(main())
