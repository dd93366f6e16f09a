"""What kubeconform says of every profile, by the schemas of Kubernetes and, for what Prometheus' operator adds, by its own."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import kubernetes_validate
import yaml
from chart import ALERTS, BASE, CHART, PROFILES, SHARED, copy_of_the_chart, merged, profile, render
from test_profiles import CUSTOM, KUBERNETES

CORE = pathlib.Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
BUILT_IN = (
    "configmap-v1", "deployment-apps-v1", "horizontalpodautoscaler-autoscaling-v2", "job-batch-v1",
    "networkpolicy-networking-v1", "poddisruptionbudget-policy-v1", "service-v1", "serviceaccount-v1",
    "statefulset-apps-v1",
)  # fmt: skip
WATCHED = {
    "admin": {"enabled": True},
    "serviceMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True},
    "dashboard": {"enabled": True},
    "networkPolicy": {"monitoring": [{"podSelector": {}}]},
}


def closed(schema):
    """The schema, with every field that it does not name refused, as the API server's field validation does."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    out = {name: closed(part) for name, part in schema.items()}
    if isinstance(out.get("properties"), dict) and not out.get("x-kubernetes-preserve-unknown-fields"):
        out.setdefault("additionalProperties", False)
    return out


def write_schemas(folder):
    """Those of Kubernetes, which name each other by the paths of another tool, and those of the operator's resource definitions."""
    for version in KUBERNETES:
        (folder / version).mkdir()
        for name in ["_definitions", *BUILT_IN]:
            text = (CORE / f"v{version}.0-local-strict" / f"{name}.json").read_text()
            schema = json.loads(text.replace("/api/_definitions.json", "_definitions.json"))
            del schema["$id"]  # an address, which would be asked
            (folder / version / f"{name}.json").write_text(json.dumps(schema))
    for path in pathlib.Path(os.environ["CRDS"]).glob("*.yaml"):
        definition = yaml.safe_load(path.read_text())["spec"]
        for version in definition["versions"]:
            schema = closed(version["schema"]["openAPIV3Schema"])
            # A resource definition says only that there is metadata.
            schema["properties"]["metadata"] = {"type": "object", "required": ["name"]}
            name = f"{definition['names']['kind'].lower()}-{version['name']}.json"
            (folder / name).write_text(json.dumps(schema))


class Schemas(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        write_schemas(cls.folder)

    def kubeconform(self, objects, version):
        command = [
            os.environ["KUBECONFORM"], "-strict", "-summary", "-output", "json",
            "-schema-location", f"{self.folder}/{version}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json",
            "-schema-location", f"{self.folder}/{{{{ .ResourceKind }}}}-{{{{ .ResourceAPIVersion }}}}.json",
        ]  # fmt: skip
        done = subprocess.run(
            command, input=yaml.safe_dump_all(list(objects)), capture_output=True, text=True, timeout=60, check=False
        )
        return done.returncode, json.loads(done.stdout)

    def accepted(self, objects):
        for version in KUBERNETES:
            code, said = self.kubeconform(objects, version)
            self.assertEqual(code, 0, said)
            self.assertEqual(said["summary"], {"valid": len(objects), "invalid": 0, "errors": 0, "skipped": 0})

    def test_every_profile_is_valid(self):
        for path in PROFILES:
            with self.subTest(profile=path.name):
                self.accepted(render(profile(path)))

    def test_every_profile_is_valid_with_all_that_watches_it(self):
        with copy_of_the_chart({"alerts.yaml": ALERTS, "dashboard.json": "{}"}) as copy:
            for path in PROFILES:
                with self.subTest(profile=path.name):
                    objects = render(merged(profile(path), WATCHED), chart=copy)
                    self.assertEqual([len(objects.all(kind)) for kind in CUSTOM], [1, 1])
                    self.accepted(objects)

    @unittest.skipUnless((CHART / "files" / "alerts.yaml").exists(), "the chart has no rules of its own")
    def test_the_charts_own_rules_are_valid(self):
        objects = render(merged(SHARED, {"prometheusRule": {"enabled": True}}))
        self.accepted(objects)

    def test_a_field_that_nobody_knows_is_found(self):
        with copy_of_the_chart({"alerts.yaml": ALERTS.replace("expr:", "exprr:"), "dashboard.json": "{}"}) as copy:
            objects = render(merged(BASE, WATCHED), chart=copy)
        code, said = self.kubeconform(objects, KUBERNETES[0])
        self.assertEqual((code, said["summary"]["invalid"]), (1, 1), said)
        objects = render(BASE)
        objects.workload()["spec"]["template"]["spec"]["enableServiceLink"] = False
        self.assertEqual(self.kubeconform(objects, KUBERNETES[0])[1]["summary"]["invalid"], 1)
