"""Makes the rules of the Prometheus Operator from deploy/prometheus: those of the Helm chart and of deploy/kubernetes/monitoring.
Without --write, reports files that differ. Usage: rules.py [--write]"""

import sys
from pathlib import Path

import yaml

SOURCES = (Path("deploy/prometheus/rules.yml"), Path("deploy/prometheus/alerts.yml"))
CHART = Path("deploy/helm/bookend/files/groups.yaml")
OVERLAY = Path("deploy/kubernetes/monitoring/rules.yaml")
GENERATED = "# Generated from deploy/prometheus; renew it with: deploy/operations/rules.py --write\n"
NAMES = {"app.kubernetes.io/name": "bookend", "app.kubernetes.io/part-of": "bookend"}


def main(write):
    texts = made()
    different = [path for path, text in texts.items() if not path.is_file() or path.read_text() != text]
    for path in different:
        if write:
            path.write_text(texts[path])
        else:
            print(f"{path} differs from deploy/prometheus; renew it with: deploy/operations/rules.py --write")
    return 0 if write or not different else 1


def made():
    """The text of every generated file."""
    groups = {"groups": [group for path in SOURCES for group in yaml.safe_load(path.read_text())["groups"]]}
    rule = {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "bookend", "labels": NAMES}, "spec": groups}
    return {CHART: dumped(groups), OVERLAY: dumped(rule)}


def dumped(value):
    """YAML without merge keys, which kubectl and Helm do not read."""
    return GENERATED + yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=1_000_000)


if __name__ == "__main__":
    sys.exit(main("--write" in sys.argv[1:]))
