"""Tests of the Helm chart: it renders the same objects as the overlays of deploy/kubernetes, and its values have the effects that
values.yaml describes. Leaves the rendered shapes in DIRECTORY. Usage: charts.py HELM KUSTOMIZE KUBERNETES-VERSION DIRECTORY"""

import json
import re
import subprocess
import sys
from pathlib import Path

import yaml

CHART = "deploy/helm/bookend"
OVERLAYS = Path("deploy/kubernetes")
MANUAL = Path("deploy/README.md")
INSTANCE = "app.kubernetes.io/instance"
EXTERNAL_LABEL = "{{ $externalLabels.bookend_manual }}"
# The values that make the chart equal to an overlay. The gateway is a sample of its own.
EQUAL = {
    "base": {},
    "keda": {"consumer": {"keda": {"enabled": True}}},
    "one-process": {"shape": "one-process"},
    "monitoring": {"monitoring": {"enabled": True, "manual": EXTERNAL_LABEL, "blackboxExporter": "blackbox-exporter.monitoring.svc:9115"}},
}
# Only an overlay has them: the chart leaves the namespace to Helm, and puts the settings into the pods.
ONLY_IN_OVERLAYS = {"Namespace", "ConfigMap"}
REFUSED = (
    {"shape": "other"}, {"unknown": 1}, {"image": {"digest": "abc"}}, {"settings": {"KAFKA_BROKERS": "a"}},
    {"settings": {"BOOKEND_KAFKA_PASSWORD": "secret"}}, {"ingest": {"resources": {"limits": None}}},
    {"networkPolicy": {"kafkaPort": "9092"}}, {"consumer": {"replica": 2}},
)


def main(helm, kustomize, kubernetes, directory):
    def render(values=None, release="bookend"):
        return subprocess.run([helm, "template", release, CHART, "--namespace=bookend", f"--kube-version={kubernetes}", "--values=-"],
                              input=json.dumps(values or {}), capture_output=True, text=True, check=False)

    def objects(values=None, release="bookend"):
        rendered = render(values, release)
        if rendered.returncode != 0:
            sys.exit(f"helm template with {values}: {rendered.stderr}")
        return loaded(rendered.stdout)

    findings = versions()
    for overlay, values in EQUAL.items():
        built = subprocess.run([kustomize, "build", OVERLAYS / overlay], capture_output=True, text=True, check=True).stdout
        (directory / f"chart-{overlay}.yaml").write_text(render(values).stdout)
        findings += [f"chart and {overlay}: {finding}" for finding in differences(objects(values), loaded(built))]
    findings += [f"the schema accepts {values}" for values in REFUSED if render(values).returncode == 0]
    findings += [f"{name}: {finding}" for name, test in TESTS.items() for finding in test(objects)]
    for finding in findings:
        print(finding)
    print(f"chart: {len(EQUAL)} shapes, {len(REFUSED)} refused values, {len(TESTS)} tests, {len(findings)} findings")
    return 1 if findings else 0


def loaded(text):
    return [found for found in yaml.safe_load_all(text) if found]


def versions():
    """Findings if the chart or an overlay has another version than the programs."""
    expected = re.search(r'^version = "(.+)"$', Path("Cargo.toml").read_text(), re.MULTILINE)[1]
    chart = yaml.safe_load(Path(CHART, "Chart.yaml").read_text())
    found = {"Chart.yaml: version": chart["version"], "Chart.yaml: appVersion": chart["appVersion"]}
    for path in OVERLAYS.glob("*/kustomization.yaml"):
        found |= {f"{path}: {image['name']}": image["newTag"] for image in yaml.safe_load(path.read_text()).get("images", [])}
    return [f"{where} is {version}; the version of the programs is {expected}" for where, version in found.items() if version != expected]


def differences(chart, overlay):
    chart, overlay = normalized(chart), normalized(overlay)
    for key in sorted(chart.keys() | overlay.keys()):
        if key not in chart or key not in overlay:
            yield f"{' '.join(key)} is only in the {'overlay' if key in overlay else 'chart'}"
        elif chart[key] != overlay[key]:
            yield from (f"{' '.join(key)}{where}" for where in unequal(chart[key], overlay[key]))


def unequal(left, right, where=""):
    """The paths at which two values differ."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted(left.keys() | right.keys()):
            yield from unequal(left.get(key), right.get(key), f"{where}.{key}")
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for index, (one, other) in enumerate(zip(left, right)):
            yield from unequal(one, other, f"{where}[{index}]")
    elif left != right:
        yield f"{where}: {json.dumps(left)} in the chart, {json.dumps(right)} in the overlay"


def normalized(objects):
    """Every object by kind and name: without metadata, the prefix of names and the label of the release, and with the variables of
    its ConfigMaps in the containers."""
    maps = {short(found["metadata"]["name"]): found.get("data", {}) for found in objects if found["kind"] == "ConfigMap"}
    result = {}
    for found in objects:
        if found["kind"] in ONLY_IN_OVERLAYS:
            continue
        body = plain({key: value for key, value in found.items() if key != "metadata"})
        for container in body.get("spec", {}).get("template", {}).get("spec", {}).get("containers", []):
            for source in [one for one in container.get("envFrom", []) if "configMapRef" in one]:
                container["envFrom"].remove(source)
                container.setdefault("env", []).extend({"name": name, "value": value} for name, value in maps[source["configMapRef"]["name"]].items())
            if not container.get("envFrom"):
                container.pop("envFrom", None)
            container["env"] = sorted(container.get("env", []), key=lambda one: one["name"])
        result[found["kind"], short(found["metadata"]["name"])] = body
    return result


def plain(value, key=None):
    if isinstance(value, dict):
        return {key: plain(part, key) for key, part in value.items() if key != INSTANCE}
    if isinstance(value, list):
        return [plain(part) for part in value]
    return short(value) if key == "name" and isinstance(value, str) else value


def short(name):
    return name.removeprefix("bookend-")


def pods(objects):
    """The pod of every component."""
    templates = [found["spec"]["template"] for found in objects if "template" in found.get("spec", {})]
    return {template["metadata"]["labels"]["app.kubernetes.io/component"]: template["spec"] for template in templates}


def variables(pod):
    return {one["name"]: one["value"] for one in pod["containers"][0].get("env", [])}


def kinds(objects):
    return {found["kind"] for found in objects}


def another_release_has_its_own_names_and_pods(objects):
    for found in objects({"consumer": {"keda": {"enabled": True}}, "monitoring": {"enabled": True}}, release="other"):
        name, spec = found["metadata"]["name"], found.get("spec", {})
        if not name.startswith("other-bookend"):
            yield f"the name of {found['kind']} {name} lacks the release"
        for selector in (spec.get("podSelector"), spec.get("selector")):
            if selector and selector.get("matchLabels", selector).get(INSTANCE) != "other":
                yield f"{found['kind']} {name} selects pods of other releases"


def the_hook_needs_no_object_of_the_release(objects):
    rendered = objects()
    job = next(found for found in rendered if found["kind"] == "Job")
    annotations, pod = job["metadata"]["annotations"], pods(rendered)["setup"]
    if annotations.get("helm.sh/hook") != "pre-install,pre-upgrade" or annotations.get("helm.sh/hook-delete-policy") != "before-hook-creation":
        yield f"the annotations are {annotations}"
    if "serviceAccountName" in pod or "ConfigMap" in kinds(rendered):
        yield "it uses an object that does not exist before the installation"
    if "Job" in kinds(objects({"setup": {"enabled": False}})):
        yield "setup.enabled has no effect"


def settings_reach_every_pod(objects):
    values = {"settings": {"BOOKEND_KAFKA_TOPIC": "t", "BOOKEND_KAFKA_BROKERS": "b:1", "BOOKEND_QUOTA": 5}}
    for component, pod in pods(objects(values)).items():
        found = variables(pod)
        if (found.get("BOOKEND_KAFKA_TOPIC"), found.get("BOOKEND_KAFKA_BROKERS"), found.get("BOOKEND_QUOTA")) != ("t", "b:1", "5"):
            yield f"{component} has {found}"
        if found.get("BOOKEND_CASSANDRA_NODES") != "cassandra:9042":
            yield f"{component} lacks the nodes of Cassandra"


def one_process_is_alone(objects):
    rendered = objects({"shape": "one-process"})
    if set(pods(rendered)) != {"bookend"} or {"Job", "Deployment"} & kinds(rendered):
        yield f"the pods are {set(pods(rendered))}"
    if set(variables(pods(rendered)["bookend"])) != {"BOOKEND_KEYS"}:
        yield f"the variables are {variables(pods(rendered)['bookend'])}"


def an_image_has_its_digest_or_tag(objects):
    digest = "sha256:" + "a" * 64
    for image, expected in (({"digest": digest}, f"bookend@{digest}"), ({"repository": "r/b", "tag": "2"}, "r/b:2")):
        for component, pod in pods(objects({"image": image})).items():
            if pod["containers"][0]["image"] != expected:
                yield f"{component} has {pod['containers'][0]['image']}; expected {expected}"


def the_autoscaler_alone_sets_replicas(objects):
    for found in objects({"consumer": {"keda": {"enabled": True}}}):
        if found["kind"] == "Deployment" and "replicas" in found["spec"]:
            yield f"{found['metadata']['name']} has replicas"


def every_runbook_is_a_section_of_the_manual(objects):
    url = "https://example.com/manual.md"
    anchors = {heading.strip("`").lower() for heading in re.findall(r"^### (.+)$", MANUAL.read_text(), re.MULTILINE)}
    rendered = objects({"monitoring": {"enabled": True, "manual": url}})
    rules = [rule for found in rendered if found["kind"] == "PrometheusRule" for group in found["spec"]["groups"] for rule in group["rules"]]
    links = {rule["alert"]: rule["annotations"]["runbook_url"] for rule in rules if "alert" in rule}
    if not links:
        yield "there are no alerts"
    for alert, link in links.items():
        if link.partition("#")[0] != url or link.partition("#")[2] not in anchors:
            yield f"{alert} leads to {link}"


def monitoring_is_optional(objects):
    if {"PodMonitor", "PrometheusRule"} & kinds(objects()):
        yield "it is rendered without being enabled"
    rendered = objects({"monitoring": {"enabled": True, "labels": {"release": "p"}, "authorization": {"secret": ""}}})
    monitors = [found for found in rendered if found["kind"] in {"PodMonitor", "PrometheusRule"}]
    if len(monitors) != 2 or any(found["metadata"]["labels"].get("release") != "p" for found in monitors):
        yield "a resource lacks the labels, or /readyz is probed without an exporter"
    if "authorization" in json.dumps(monitors[0]["spec"]):
        yield "a key is sent although none is named"


def network_policies_are_optional(objects):
    if "NetworkPolicy" in kinds(objects({"networkPolicy": {"enabled": False}})):
        yield "they are rendered although they are disabled"
    ports = [port["port"] for found in objects({"networkPolicy": {"kafkaPort": 9094}}) if found["kind"] == "NetworkPolicy"
             for rule in found["spec"].get("egress", []) for port in rule["ports"]]
    if 9094 not in ports or 9092 in ports:
        yield f"the ports are {ports}"


TESTS = {test.__name__: test for test in (
    another_release_has_its_own_names_and_pods, the_hook_needs_no_object_of_the_release, settings_reach_every_pod, one_process_is_alone,
    an_image_has_its_digest_or_tag, the_autoscaler_alone_sets_replicas, every_runbook_is_a_section_of_the_manual, monitoring_is_optional,
    network_policies_are_optional,
)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4])))
