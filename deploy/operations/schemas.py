"""Prepares the JSON schemas for kubeconform: those of Kubernetes from the wheel of kubernetes-validate, and those of other
resources from their definitions. Usage: schemas.py WHEEL KUBERNETES-VERSION DIRECTORY DEFINITION…"""

import json
import sys
import zipfile
from pathlib import Path

import yaml


def main(wheel, version, directory, definitions):
    inside = f"kubernetes_validate/kubernetes-json-schema/v{version}-local-strict/"
    with zipfile.ZipFile(wheel) as files:
        names = [name for name in files.namelist() if name.startswith(inside) and name.endswith(".json")]
        for name in names:
            # The references are absolute paths on a server; here all schemas are in one directory.
            schema = json.loads(files.read(name).decode().replace("/api/_definitions.json", "_definitions.json"))
            schema.pop("id", None)
            schema.pop("$id", None)
            (directory / name.removeprefix(inside)).write_text(json.dumps(schema))
    if not names:
        sys.exit(f"{wheel} has no schemas for Kubernetes {version}")
    for definition in definitions:
        resource = yaml.safe_load(definition.read_text())
        kind, group = resource["spec"]["names"]["kind"].lower(), resource["spec"]["group"].split(".")[0]
        for served in resource["spec"]["versions"]:
            schema = strict(served["schema"]["openAPIV3Schema"])
            (directory / f"{kind}-{group}-{served['name']}.json").write_text(json.dumps(schema))


def strict(schema):
    """The same schema, but without unknown properties, so that a misspelled property is a finding."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: strict(part) for key, part in schema.items()}
    open_ended = "additionalProperties" in schema or schema.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object" and not open_ended:
        schema["additionalProperties"] = False
    return schema


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), [Path(path) for path in sys.argv[4:]])
