"""Checks of the alerts that promtool does not make: every alert has a severity and all annotations, its runbook link leads to
its section of the operations manual, and at least one test makes it fire. Only reads files."""

import re
import sys
from pathlib import Path

import yaml

PROMETHEUS = Path("deploy/prometheus")
ANNOTATIONS = {"summary", "description", "action", "runbook_url"}
MANUAL = Path("deploy/README.md")
# One value, the external label of prometheus.yml, is the beginning of every link.
URL = "{{ $externalLabels.bookend_manual }}"


def main():
    alerts = [rule for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
    manual = MANUAL.read_text() if MANUAL.is_file() else ""
    sections = set(re.findall(r"^### `?(\w+)`?$", manual, re.MULTILINE))
    fired = fired_in_tests()
    labels = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["global"].get("external_labels", {})
    findings = [] if labels.get("bookend_manual") == str(MANUAL) else [f"prometheus.yml: the external label bookend_manual must be {MANUAL}"]
    for alert in alerts:
        name, annotations = alert["alert"], alert.get("annotations", {})
        if alert.get("labels", {}).get("severity") not in {"page", "ticket"}:
            findings.append(f"{name}: the severity must be page or ticket")
        if missing := ANNOTATIONS - {key for key, text in annotations.items() if text}:
            findings.append(f"{name}: missing annotations: {', '.join(sorted(missing))}")
        if annotations.get("runbook_url") != f"{URL}#{name.lower()}":
            findings.append(f"{name}: the annotation runbook_url must be {URL}#{name.lower()}")
        if name not in sections:
            findings.append(f"{name}: {MANUAL} has no section '### {name}'")
        if name not in fired:
            findings.append(f"{name}: no test makes it fire")
    for name in fired - {alert["alert"] for alert in alerts}:
        findings.append(f"{name}: a test expects it, but there is no such alert")
    for finding in findings:
        print(finding)
    print(f"{len(alerts)} alerts, {len(findings)} findings")
    return 1 if findings else 0


def fired_in_tests():
    """The alerts that the tests expect to fire."""
    names = set()
    for path in PROMETHEUS.glob("tests*.yml"):
        for case in yaml.safe_load(path.read_text())["tests"]:
            for test in case.get("promql_expr_test", []):
                for sample in test.get("exp_samples", []):
                    names.update(re.findall(r'alertname="(\w+)"', sample["labels"]))
    return names


if __name__ == "__main__":
    sys.exit(main())
