"""Checks what promtool does not: that each alert says whom it wakes and what to do, that README.md knows the place it points
to, and that some case makes it fire. Reads files alone."""

import re
import sys
from pathlib import Path

import yaml

PROMETHEUS = Path("deploy/prometheus")
ANNOTATIONS = {"summary", "description", "action", "readme"}


def main():
    alerts = [rule for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
    section = Path("README.md").read_text().split("## At 3 a.m.")[1].split("\n## ")[0]
    # The bold words that a line of it begins with, or has before another cause.
    places = set(re.findall(r"\*\*(.+?)\*\*", section))
    fired = fired_in_tests()
    findings = []
    for alert in alerts:
        name, annotations = alert["alert"], alert.get("annotations", {})
        if alert.get("labels", {}).get("severity") not in {"page", "ticket"}:
            findings.append(f"{name}: its severity is neither page nor ticket")
        if missing := ANNOTATIONS - {key for key, text in annotations.items() if text}:
            findings.append(f"{name}: no {', '.join(sorted(missing))}")
        if not any(place.startswith(annotations.get("readme", "\0")) for place in places):
            findings.append(f"{name}: README.md, At 3 a.m., has no **{annotations.get('readme')}**")
        if name not in fired:
            findings.append(f"{name}: no case of the tests makes it fire")
    for name in fired - {alert["alert"] for alert in alerts}:
        findings.append(f"{name}: a case speaks of it, but there is no such alert")
    for finding in findings:
        print(finding)
    print(f"{len(alerts)} alerts, {len(findings)} findings")
    return 1 if findings else 0


def fired_in_tests():
    """The alerts that a case expects to fire."""
    names = set()
    for path in PROMETHEUS.glob("tests*.yml"):
        for case in yaml.safe_load(path.read_text())["tests"]:
            for test in case.get("promql_expr_test", []):
                for sample in test.get("exp_samples", []):
                    names.update(re.findall(r'alertname="(\w+)"', sample["labels"]))
    return names


if __name__ == "__main__":
    sys.exit(main())
