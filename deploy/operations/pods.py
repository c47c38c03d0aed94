"""Checks of built manifests that no schema makes: every pod is confined, has resource limits and enough time to stop, pods that
serve clients ask for a key, secrets are mounted files, and every selector matches a pod. Usage: pods.py FILE…"""

import sys
from pathlib import Path

import yaml

# The components that serve clients.
SERVING = {"ingest", "query-api", "bookend"}
# Seconds that each component needs to shut down, including the drain window.
STOPS = {"ingest": 35, "consumer": 55, "query-api": 25, "bookend": 55, "setup": 0}
# Components with at most one pod.
SINGLE = {"setup", "bookend"}


def main(path):
    objects = [found for found in yaml.safe_load_all(path.read_text()) if found]
    pods = {f"{found['kind']} {found['metadata']['name']}": found["spec"]["template"] for found in objects if "template" in found.get("spec", {})}
    findings = [f"{name}: {finding}" for name, template in pods.items() for finding in confined(template)]
    findings += [f"ConfigMap {found['metadata']['name']}: the pods are open to everybody" for found in objects
                 if found["kind"] == "ConfigMap" and "BOOKEND_ACCESS" in found.get("data", {})]
    labels = [template["metadata"]["labels"] for template in pods.values()]
    for found in objects:
        for selector in selectors(found):
            if not any(selects(selector, pod) for pod in labels):
                findings.append(f"{found['kind']} {found['metadata']['name']}: the selector matches no pod: {selector}")
    for finding in findings:
        print(finding)
    print(f"{path.name}: {len(objects)} objects, {len(pods)} with pods, {len(findings)} findings")
    return 1 if findings or not pods else 0


def confined(template):
    pod = template["spec"]
    component = template["metadata"]["labels"]["app.kubernetes.io/component"]
    outer = pod.get("securityContext", {})
    expected = [
        (pod.get("automountServiceAccountToken") is False, "it mounts a service account token"),
        (pod.get("enableServiceLinks") is False, "Services set variables that look like settings; disable enableServiceLinks"),
        (outer.get("runAsNonRoot") is True and outer.get("runAsUser"), "it may run as root"),
        (outer.get("seccompProfile", {}).get("type") == "RuntimeDefault", "its seccomp profile is not RuntimeDefault"),
        (not pod.get("hostNetwork") and not pod.get("hostPID") and not pod.get("hostIPC"), "it shares a namespace of the host"),
        (pod.get("terminationGracePeriodSeconds", 30) > STOPS[component], "its grace period is shorter than its shutdown"),
        (component in SINGLE or len(pod.get("topologySpreadConstraints", [])) == 2, "it has no topology spread constraints"),
    ]
    for container in pod["containers"]:
        inner, resources = container.get("securityContext", {}), container.get("resources", {})
        expected += [
            (inner.get("allowPrivilegeEscalation") is False, "it may gain privileges"),
            (inner.get("readOnlyRootFilesystem") is True, "its root file system is writable"),
            (inner.get("capabilities", {}).get("drop") == ["ALL"], "it keeps capabilities"),
            (not inner.get("capabilities", {}).get("add") and not inner.get("privileged"), "it adds capabilities or is privileged"),
            ({"cpu", "memory"} <= set(resources.get("requests", {})), "it requests no CPU or no memory"),
            ("memory" in resources.get("limits", {}), "its memory has no limit"),
        ]
        variables = {one["name"]: one.get("value") for one in container.get("env", [])}
        expected.append(("BOOKEND_ACCESS" not in variables, "it is open to everybody"))
        expected.append((not secret_variables(container), "a secret is a variable; mount it and set the variable with _FILE"))
        expected.append((not any("subPath" in mount for mount in container.get("volumeMounts", [])), "a subPath never changes"))
        if component in SERVING:
            expected.append((secret_at(pod, container, variables.get("BOOKEND_KEYS")), "its file of keys is not in a mounted Secret"))
        if component != "setup":
            probes = {kind: container.get(f"{kind}Probe", {}).get("httpGet", {}).get("path") for kind in ("liveness", "readiness")}
            expected.append((probes == {"liveness": "/livez", "readiness": "/readyz"}, f"its probes are {probes}"))
    return [finding for holds, finding in expected if not holds]


def secret_at(pod, container, path):
    """Whether `path` is a file in a Secret that is mounted as a directory. A subPath would be a copy made at the start."""
    secrets = {volume["name"] for volume in pod.get("volumes", []) if "secret" in volume}
    mounts = [mount for mount in container.get("volumeMounts", []) if mount["name"] in secrets and "subPath" not in mount]
    return path is not None and any(Path(path).parent == Path(mount["mountPath"]) for mount in mounts)


def secret_variables(container):
    """The variables that come from a Secret, or are named like one."""
    sources = [one for one in container.get("envFrom", []) if "secretRef" in one]
    return sources + [one for one in container.get("env", []) if "valueFrom" in one or one["name"].endswith("_PASSWORD")]


def selectors(found):
    spec = found.get("spec", {})
    match found["kind"]:
        case "Service":
            yield {"matchLabels": spec["selector"]}
        case "NetworkPolicy":
            yield spec["podSelector"]
        case "PodDisruptionBudget" | "Deployment" | "StatefulSet" | "PodMonitor":
            yield spec["selector"]
    for constraint in spec.get("template", {}).get("spec", {}).get("topologySpreadConstraints", []):
        yield constraint["labelSelector"]


def selects(selector, labels):
    same = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return same and all(labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", []))


if __name__ == "__main__":
    sys.exit(max(main(Path(path)) for path in sys.argv[1:]))
