"""Runs the service under load with a real Prometheus and a real blackbox exporter, and evaluates every query of the rules, the
alerts and the dashboards. Queries of alerts return nothing while all is well; of these, every selector must match a series, so
that a misspelled metric or label is found. Usage: live.py --bookend PROGRAM --work DIRECTORY"""

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
# Only failures produce these label values, but the metric and the label must exist.
ONLY_ON_FAILURE = ('status=~"5.."', 'status="aborted"')
# Only a service with TLS has these metrics; the one here has none.
ONLY_WITH_TLS = "bookend_tls_"
# NaN while nothing is measured, as on the embedded backends.
NAN_WHILE_IDLE = "bookend_clock_skew_seconds"
SELECTOR = re.compile(r"\b((?:bookend[_:]|process_|probe_)\w[\w:]*|up)\b(\{[^}]*\})?")
QUERIED_PATHS = (
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
        bookend = start(running, given.work / "bookend.log", given.bookend, "serve", "--listen", service, "--data-dir", given.work / "data",
                        "--drain-window", "0s")
        start(running, given.work / "exporter.log", "prometheus-blackbox-exporter",
              f"--config.file={PROMETHEUS / 'blackbox.yml'}", f"--web.listen-address={exporter}")
        config = configure(given.work / "prometheus", service, exporter)
        start(running, given.work / "prometheus.log", "prometheus", f"--config.file={config}", f"--web.listen-address={prometheus}",
              f"--storage.tsdb.path={given.work / 'tsdb'}")
        until(lambda: responds(f"http://{service}/readyz"), "the service to become ready")
        until(lambda: responds(f"http://{prometheus}/-/ready"), "Prometheus to become ready")
        load(given.bookend, service)
        findings = []
        try:
            check_metrics(service)
            until(lambda: without_data(service, prometheus, given.bookend, findings) == [], "data for every query")
        except TimeoutError:
            for finding in findings:
                print(finding)
            return 1
        # Shows that rules are evaluated at all.
        bookend.terminate()
        if bookend.wait(timeout=60) != 0:
            print(f"the service exited with status {bookend.returncode} after SIGTERM; expected 0")
            return 1
        until(lambda: query(prometheus, 'ALERTS{alertname="BookendDown"}'), "the alert BookendDown after the service stopped")
        link = runbook(prometheus, "BookendDown")
        if link != "deploy/README.md#bookenddown":
            print(f"the runbook of BookendDown is {link}")
            return 1
    print(f"{len(queries())} queries and {len(conditions())} conditions evaluated, no findings")
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
    """Copies the configuration, with shorter intervals and the addresses of this run. Returns its path."""
    shutil.copytree(PROMETHEUS, directory)
    config = yaml.safe_load((directory / "prometheus.yml").read_text())
    config["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["alerting"] = {}
    text = yaml.safe_dump(config).replace("127.0.0.1:9115", exporter)
    (directory / "prometheus.yml").write_text(text)
    targets = directory / "targets" / "bookend.yml"
    targets.write_text(targets.read_text().replace("127.0.0.1:5000", service))
    return directory / "prometheus.yml"


def load(program, service):
    generated = subprocess.run([program, "generate", "--sessions", "500", "--profile", "hostile"], capture_output=True, check=True)
    subprocess.run([program, "load", "-", "--url", f"http://{service}"], input=generated.stdout, capture_output=True, timeout=120, check=False)
    for path in QUERIED_PATHS:
        responds(f"http://{service}{path}")


def check_metrics(service):
    with urllib.request.urlopen(f"http://{service}/metrics", timeout=10) as reply:
        linted = subprocess.run(["promtool", "check", "metrics"], input=reply.read(), capture_output=True, check=False)
    if linted.returncode != 0 or linted.stderr.strip():
        sys.exit(f"promtool check metrics: {(linted.stderr + linted.stdout).decode()}")


def without_data(service, prometheus, program, findings):
    """Sends more load, then returns a finding for each query without data. They are also left in `findings`."""
    load(program, service)
    findings[:] = [f"no data: {expression}" for expression in queries() if not query(prometheus, expression)]
    for condition in conditions():
        for name, matchers in SELECTOR.findall(condition):
            if name.startswith(ONLY_WITH_TLS):
                continue
            wanted = name + matchers
            for word in ONLY_ON_FAILURE:
                wanted = wanted.replace(word, 'status!=""')
            if not query(prometheus, wanted):
                findings.append(f"no series matches {wanted} in: {condition}")
    return findings


def queries():
    """The queries that return data while all is well: those of the recording rules and the dashboards."""
    rules = [rule for group in yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"] for rule in group["rules"]]
    found = [rule["expr"] for rule in rules]
    for rule in rules:
        labels = ",".join(f'{name}="{value}"' for name, value in rule.get("labels", {}).items())
        found.append(f"{rule['record']}{{{labels}}}")
    for path in DASHBOARDS.glob("*.json"):
        dashboard = json.loads(path.read_text())
        found += [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    return [filled(expression) for expression in found]


def conditions():
    """The queries that return data only during failures or for a moment: those of the alerts and annotations."""
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    found = [rule["expr"] for group in groups for rule in group["rules"]]
    for path in DASHBOARDS.glob("*.json"):
        found += [annotation["expr"] for annotation in json.loads(path.read_text())["annotations"]["list"]]
    return [filled(expression) for expression in found]


def filled(expression):
    return expression.replace("$__rate_interval", "1m").replace("$instance", ".+").replace("$process", ".+")


def query(prometheus, expression):
    """Evaluates an expression and returns the samples that are not NaN, unless its metric may be."""
    url = f"http://{prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(url, timeout=30) as reply:
            result = json.load(reply)["data"]["result"]
    except urllib.error.HTTPError as error:
        sys.exit(f"{expression}: {error.read().decode()}")
    may_be_nan = NAN_WHILE_IDLE in expression
    return [sample for sample in result if may_be_nan or not math.isnan(float(sample["value"][1]))]


def runbook(prometheus, name):
    """The link of an alert, as Prometheus has expanded it."""
    with urllib.request.urlopen(f"http://{prometheus}/api/v1/alerts", timeout=30) as reply:
        return next(alert["annotations"]["runbook_url"] for alert in json.load(reply)["data"]["alerts"] if alert["labels"]["alertname"] == name)


def responds(url):
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
            print(f"timed out after {LIMIT} s waiting for {what}")
            raise TimeoutError(what)
        time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
