"""What every profile must render to."""

import re
import unittest

import kubernetes_validate
import yaml
from chart import CHART, DATA, PROFILES, containers, flag, helm, pod, profile, render, server

# The oldest that Chart.yaml admits, and the newest whose schemas are at hand.
KUBERNETES = ("1.27", "1.37")


def each_profile(test):
    def run(self):
        for name, objects in self.rendered.items():
            with self.subTest(profile=name):
                test(self, objects)

    return run


class EveryProfile(unittest.TestCase):
    """Each test holds for each example file in helm/portcullis/ci."""

    @classmethod
    def setUpClass(cls):
        cls.rendered = {path.name: render(profile(path)) for path in PROFILES}

    def test_there_are_profiles(self):
        self.assertGreaterEqual(len(self.rendered), 3)

    @each_profile
    def test_objects_are_what_kubernetes_accepts(self, objects):
        for version in KUBERNETES:
            for item in objects.values():
                kubernetes_validate.validate(item, version, strict=True)

    @each_profile
    def test_one_replica_in_a_stateful_set(self, objects):
        self.assertLessEqual(set(objects), {"StatefulSet", "Service", "ServiceAccount"})
        self.assertEqual(objects["StatefulSet"]["spec"]["replicas"], 1)

    @each_profile
    def test_no_secret_is_rendered_and_none_is_in_the_environment(self, objects):
        text = yaml.safe_dump(objects)
        self.assertNotIn("kind: Secret", text)
        self.assertIsNone(re.search(r"PRIVATE KEY|password|[sp]k_(live|test)_", text, re.IGNORECASE))

    @each_profile
    def test_selectors_name_the_pod(self, objects):
        spec = objects["StatefulSet"]["spec"]
        labels = spec["template"]["metadata"]["labels"]
        self.assertEqual(labels, spec["selector"]["matchLabels"])
        self.assertEqual(labels, objects["Service"]["spec"]["selector"])
        self.assertEqual(spec["serviceName"], objects["Service"]["metadata"]["name"])
        (port,) = objects["Service"]["spec"]["ports"]
        self.assertEqual(port["targetPort"], server(objects)["ports"][0]["name"])

    @each_profile
    def test_pod_is_unprivileged_and_sealed(self, objects):
        context = pod(objects)["securityContext"]
        self.assertIs(context["runAsNonRoot"], True)
        self.assertEqual({context[k] for k in ("runAsUser", "runAsGroup", "fsGroup")}, {65532})
        self.assertEqual(context["seccompProfile"], {"type": "RuntimeDefault"})
        for container in containers(objects):
            own = container["securityContext"]
            self.assertIs(own["readOnlyRootFilesystem"], True)
            self.assertIs(own["allowPrivilegeEscalation"], False)
            self.assertEqual(own["capabilities"], {"drop": ["ALL"]})
            self.assertTrue(container["resources"]["requests"])

    @each_profile
    def test_kubernetes_token_and_service_variables_stay_out(self, objects):
        self.assertIs(pod(objects)["automountServiceAccountToken"], False)
        self.assertIs(pod(objects)["enableServiceLinks"], False)
        if "ServiceAccount" in objects:
            self.assertIs(objects["ServiceAccount"]["automountServiceAccountToken"], False)

    @each_profile
    def test_grace_period_is_above_the_drain(self, objects):
        env = {e["name"]: e.get("value") for e in server(objects)["env"]}
        drain = int(env["PORTCULLIS_DRAIN"].removesuffix("s"))
        self.assertGreaterEqual(pod(objects)["terminationGracePeriodSeconds"], drain + 5)

    @each_profile
    def test_server_speaks_tls_from_a_read_only_mount(self, objects):
        args = server(objects)["args"]
        mounts = {m["name"]: m for m in server(objects)["volumeMounts"]}
        self.assertIs(mounts["tls"]["readOnly"], True)
        for name in ("--tls-cert", "--tls-key"):
            self.assertTrue(flag(args, name).startswith(mounts["tls"]["mountPath"] + "/"))
        volume = next(v for v in pod(objects)["volumes"] if v["name"] == "tls")
        self.assertEqual(volume["secret"]["secretName"], "portcullis-tls")
        self.assertEqual(volume["secret"]["defaultMode"], 0o440)
        for init in pod(objects)["initContainers"]:
            self.assertNotIn("tls", [m["name"] for m in init["volumeMounts"]])

    @each_profile
    def test_every_container_uses_the_database_on_the_volume(self, objects):
        (claim,) = objects["StatefulSet"]["spec"]["volumeClaimTemplates"]
        for container in containers(objects):
            self.assertEqual(container["command"], ["portcullis"])
            self.assertEqual(flag(container["args"], "--database-url"), f"sqlite://{DATA}/portcullis.db")
            mounts = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
            self.assertEqual(mounts[claim["metadata"]["name"]], DATA)

    @each_profile
    def test_database_is_migrated_before_the_server_starts(self, objects):
        self.assertEqual(pod(objects)["initContainers"][0]["args"][0], "migrate")
        self.assertEqual(server(objects)["args"][0], "serve")

    @each_profile
    def test_readiness_asks_for_the_service_and_liveness_does_not(self, objects):
        commands = {k: server(objects)[f"{k}Probe"]["exec"]["command"] for k in ("startup", "liveness", "readiness")}
        self.assertEqual(commands["startup"], commands["liveness"])
        self.assertNotIn("--service", commands["liveness"])
        self.assertEqual(commands["readiness"], commands["liveness"] + ["--service", "portcullis.v1.KeyService"])
        self.assertEqual(commands["liveness"][:2], ["portcullis", "health"])
        self.assertEqual(flag(commands["liveness"], "--endpoint"), "https://127.0.0.1:50051")
        self.assertTrue(flag(commands["liveness"], "--server-name"))
        for kind in commands:
            self.assertGreater(server(objects)[f"{kind}Probe"]["timeoutSeconds"], 1, "a process must start in it")

    def test_helm_lint_is_strict_and_clean(self):
        for path in PROFILES:
            done = helm("lint", "--strict", CHART, values=profile(path))
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
