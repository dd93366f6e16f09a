"""What every profile must render to."""

import re
import unittest

import kubernetes_validate
import yaml
from chart import CHART, PROFILES, containers, env, flag, helm, migrating_pod, pod, pods, profile, render, server

# The oldest that Chart.yaml admits, and the newest whose schemas are at hand.
KUBERNETES = ("1.30", "1.37")
CUSTOM = ("ServiceMonitor", "PrometheusRule")  # test_schemas.py looks at these
SECRET = re.compile(r"PRIVATE KEY|[sp]k_(live|test)_|://[^/@\s]*:[^/\s]+@")


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

    def test_there_are_examples_of_both_profiles(self):
        self.assertEqual({objects.shared() for objects in self.rendered.values()}, {True, False})
        self.assertGreaterEqual(len(self.rendered), 5)

    @each_profile
    def test_objects_are_what_kubernetes_accepts(self, objects):
        for version in KUBERNETES:
            for item in objects:
                if item["kind"] not in CUSTOM:
                    kubernetes_validate.validate(item, version, strict=True)

    @each_profile
    def test_no_secret_is_rendered_and_none_is_in_the_environment(self, objects):
        text = yaml.safe_dump(list(objects))
        self.assertNotIn("kind: Secret", text)
        self.assertIsNone(SECRET.search(text))
        for container in containers(objects):
            for name, value in env(container).items():
                if re.search(r"(PASSWORD|HEADERS|DATABASE_URL)$", name):
                    self.assertIn("secretKeyRef", value, name)

    @each_profile
    def test_selectors_name_the_servers_pods_and_no_others(self, objects):
        spec = objects.workload()["spec"]
        labels = spec["template"]["metadata"]["labels"]
        self.assertEqual(labels, spec["selector"]["matchLabels"])
        for service in objects.all("Service"):
            self.assertEqual(labels, service["spec"]["selector"])
            (port,) = service["spec"]["ports"]
            self.assertIn(port["targetPort"], [p["name"] for p in server(objects)["ports"]])
        for budget in objects.all("PodDisruptionBudget"):
            self.assertEqual(labels, budget["spec"]["selector"]["matchLabels"])
        for job in objects.all("Job"):
            self.assertFalse(labels.items() <= job["spec"]["template"]["metadata"]["labels"].items())

    @each_profile
    def test_pods_are_unprivileged_and_sealed(self, objects):
        for spec in pods(objects):
            context = spec["securityContext"]
            self.assertIs(context["runAsNonRoot"], True)
            self.assertEqual({context[k] for k in ("runAsUser", "runAsGroup", "fsGroup")}, {65532})
            self.assertEqual(context["seccompProfile"], {"type": "RuntimeDefault"})
            self.assertFalse({"hostNetwork", "hostPID", "hostIPC"} & set(spec))
            self.assertFalse([v for v in spec["volumes"] if "hostPath" in v])
        for container in containers(objects):
            own = container["securityContext"]
            self.assertIs(own["readOnlyRootFilesystem"], True)
            self.assertIs(own["allowPrivilegeEscalation"], False)
            self.assertEqual(own["capabilities"], {"drop": ["ALL"]})
            self.assertTrue(container["resources"]["requests"]["cpu"])
            self.assertTrue(container["resources"]["requests"]["memory"])

    @each_profile
    def test_kubernetes_token_and_service_variables_stay_out(self, objects):
        for spec in pods(objects):
            self.assertIs(spec["automountServiceAccountToken"], False)
            self.assertIs(spec["enableServiceLinks"], False)
        for account in objects.all("ServiceAccount"):
            self.assertIs(account["automountServiceAccountToken"], False)

    @each_profile
    def test_grace_period_is_above_what_a_stop_takes(self, objects):
        drain = int(env(server(objects))["PORTCULLIS_DRAIN"].removesuffix("s"))
        hook = server(objects).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        self.assertGreaterEqual(pod(objects)["terminationGracePeriodSeconds"], hook + drain + 15)
        self.assertEqual(hook > 0, objects.shared(), "one replica that goes on without callers is only away for longer")

    @each_profile
    def test_server_speaks_tls_from_a_read_only_mount(self, objects):
        args = server(objects)["args"]
        mounts = {m["name"]: m for m in server(objects)["volumeMounts"]}
        self.assertIs(mounts["tls"]["readOnly"], True)
        self.assertNotIn("subPath", mounts["tls"], "a file that is mounted by itself is never renewed")
        for name in ("--tls-cert", "--tls-key"):
            self.assertTrue(flag(args, name).startswith(mounts["tls"]["mountPath"] + "/"))
        volume = next(v for v in pod(objects)["volumes"] if v["name"] == "tls")
        self.assertEqual(volume["secret"]["secretName"], "portcullis-tls")
        self.assertEqual(volume["secret"]["defaultMode"], 0o440)
        for other in containers(objects)[:-1]:
            self.assertNotIn("tls", [m["name"] for m in other["volumeMounts"]])

    @each_profile
    def test_every_mount_has_its_volume(self, objects):
        claims = [c["metadata"]["name"] for c in objects.workload()["spec"].get("volumeClaimTemplates", [])]
        for spec in pods(objects):
            volumes = [v["name"] for v in spec["volumes"]] + claims
            self.assertEqual(len(set(volumes)), len(volumes))
            for container in spec.get("initContainers", []) + spec["containers"]:
                for mount in container["volumeMounts"]:
                    self.assertIn(mount["name"], volumes)

    @each_profile
    def test_database_is_migrated_before_the_server_starts(self, objects):
        for container in containers(objects):
            self.assertEqual(container["command"], ["portcullis"])
        self.assertEqual(containers(objects)[0]["args"][0], "migrate")
        self.assertEqual(server(objects)["args"][0], "serve")
        if objects.shared():
            hooks = objects.one("Job", "-migrate")["metadata"]["annotations"]["helm.sh/hook"]
            self.assertEqual(hooks, "pre-install,pre-upgrade")
            self.assertEqual(migrating_pod(objects)["restartPolicy"], "Never")

    @each_profile
    def test_readiness_asks_for_the_service_and_liveness_does_not(self, objects):
        if flag(server(objects)["args"], "--admin-listen"):
            paths = [server(objects)[f"{k}Probe"]["httpGet"]["path"] for k in ("startup", "liveness", "readiness")]
            self.assertEqual(paths, ["/livez", "/livez", "/readyz"])
            return
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
