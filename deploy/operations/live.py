"""Runs a real service under load, a real Prometheus and a real blackbox exporter on loopback, and asks Prometheus every query of the
rules, the alerts and the dashboard. What an alert waits for is not there while all is well: of such a query each selector has
to find something, so that a metric or a label that nobody shows is a finding.  live.py --bookend PROGRAM --work DIRECTORY"""

import argparse
import contextlib
import json
import math
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import yaml

PROMETHEUS = Path("deploy/prometheus")
DASHBOARDS = Path("deploy/grafana/dashboards")
# Only trouble makes these; the metric and the label have to be there all the same.
ONLY_IN_TROUBLE = ('status=~"5.."', 'status="aborted"')
SELECTOR = re.compile(r"\b((?:bookend[_:]|process_|probe_)\w[\w:]*|up)\b(\{[^}]*\})?")
QUESTIONS = (
    "/v1/session-starts?days=2&limit=10", "/v1/session-starts/counts?days=7", "/v1/users/nobody/sessions",
    "/v1/users/nobody/sessions/none", "/user/last-events?hours=1", "/user/last-sessions-user?user_id=nobody",
)
LIMIT = 120


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--bookend", required=True)
    arguments.add_argument("--work", type=Path, required=True)
    given = arguments.parse_args()
    service, exporter, prometheus = (f"127.0.0.1:{port}" for port in free_ports(3))
    with contextlib.ExitStack() as running:
        bookend = start(running, given.work / "bookend.log", given.bookend, "serve", "--listen", service, "--data-dir", given.work / "data")
        start(running, given.work / "exporter.log", "prometheus-blackbox-exporter",
              f"--config.file={PROMETHEUS / 'blackbox.yml'}", f"--web.listen-address={exporter}")
        config = configure(given.work / "prometheus", service, exporter)
        start(running, given.work / "prometheus.log", "prometheus", f"--config.file={config}", f"--web.listen-address={prometheus}",
              f"--storage.tsdb.path={given.work / 'tsdb'}")
        until(lambda: answers(f"http://{service}/readyz"), "the service is ready")
        until(lambda: answers(f"http://{prometheus}/-/ready"), "Prometheus is ready")
        load(given.bookend, service)
        findings = []
        try:
            check_metrics(service)
            until(lambda: empty(service, prometheus, given.bookend, findings) == [], "every query gives data")
        except TimeoutError:
            for finding in findings:
                print(finding)
            return 1
        # That rules are evaluated at all is seen by one that has something to tell.
        bookend.terminate()
        if bookend.wait(timeout=60) != 0:
            print("the service did not stop cleanly")
            return 1
        until(lambda: ask(prometheus, 'ALERTS{alertname="BookendDown"}'), "the alert sees that the service is down")
    print(f"{len(queries())} queries and {len(conditions())} conditions were asked: nothing was found")
    return 0


def free_ports(count):
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def start(running, log, *command):
    lines = running.enter_context(log.open("w"))
    process = subprocess.Popen([str(part) for part in command], stdout=lines, stderr=lines)
    running.callback(stop, process)
    return process


def stop(process):
    process.terminate()
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()


def configure(directory, service, exporter):
    """The configuration as it is, but hurried, and with the addresses of here."""
    shutil.copytree(PROMETHEUS, directory)
    config = yaml.safe_load((directory / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["alerting"] = {}
    text = yaml.safe_dump(config).replace("127.0.0.1:9115", exporter)
    (directory / "prometheus.yml").write_text(text)
    targets = directory / "targets" / "bookend.yml"
    targets.write_text(targets.read_text().replace("127.0.0.1:5000", service))
    return directory / "prometheus.yml"


def load(program, service):
    made = subprocess.run([program, "generate", "--sessions", "500", "--profile", "hostile"], capture_output=True, check=True)
    subprocess.run([program, "load", "-", "--url", f"http://{service}"], input=made.stdout, capture_output=True, timeout=120, check=False)
    for question in QUESTIONS:
        answers(f"http://{service}{question}")


def check_metrics(service):
    with urllib.request.urlopen(f"http://{service}/metrics", timeout=10) as reply:
        linted = subprocess.run(["promtool", "check", "metrics"], input=reply.read(), capture_output=True, check=False)
    if linted.returncode != 0 or linted.stderr.strip():
        sys.exit(f"promtool check metrics: {(linted.stderr + linted.stdout).decode()}")


def empty(service, prometheus, program, findings):
    """What has found nothing, after some more load; they are left in `findings`."""
    load(program, service)
    findings[:] = [f"no data: {query}" for query in queries() if not ask(prometheus, query)]
    for condition in conditions():
        for name, matchers in SELECTOR.findall(condition):
            wanted = name + matchers
            for word in ONLY_IN_TROUBLE:
                wanted = wanted.replace(word, 'status!=""')
            if not ask(prometheus, wanted):
                findings.append(f"{wanted} finds nothing, of: {condition}")
    return findings


def queries():
    """What gives data while all is well: what is recorded, and what is shown."""
    rules = [rule for group in yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"] for rule in group["rules"]]
    found = [rule["expr"] for rule in rules]
    for rule in rules:
        labels = ",".join(f'{name}="{value}"' for name, value in rule.get("labels", {}).items())
        found.append(f"{rule['record']}{{{labels}}}")
    for path in DASHBOARDS.glob("*.json"):
        dashboard = json.loads(path.read_text())
        found += [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    return [filled(query) for query in found]


def conditions():
    """What gives data in trouble, or for a moment, alone."""
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    found = [rule["expr"] for group in groups for rule in group["rules"]]
    for path in DASHBOARDS.glob("*.json"):
        found += [annotation["expr"] for annotation in json.loads(path.read_text())["annotations"]["list"]]
    return [filled(query) for query in found]


def filled(query):
    return query.replace("$__rate_interval", "1m").replace("$instance", ".+")


def ask(prometheus, query):
    """The samples that are numbers."""
    url = f"http://{prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": query})
    try:
        with urllib.request.urlopen(url, timeout=30) as reply:
            result = json.load(reply)["data"]["result"]
    except urllib.error.HTTPError as error:
        sys.exit(f"{query}: {error.read().decode()}")
    return [sample for sample in result if not math.isnan(float(sample["value"][1]))]


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as reply:
            reply.read()
            return True
    except OSError:
        return False


def until(holds, what):
    end = time.monotonic() + LIMIT
    while not holds():
        if time.monotonic() > end:
            print(f"within {LIMIT} s it did not come to this: {what}")
            raise TimeoutError(what)
        time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
