"""Tests of the chart: what every profile must render to, and what must be refused.

Run by `tests/run helm`, which sets HELM to the program it built.
"""

import re
import unittest

import chart
import kubernetes_validate
import yaml
from chart import BASE, CHART, PROFILES, ROOT, helm, merged, notes, profile, render, template, value_leaves

DATA = "/var/lib/portcullis"
DRAIN_SECONDS = 10
# The oldest that Chart.yaml admits, and the newest whose schemas are at hand.
KUBERNETES = ("1.27", "1.37")


def pod(objects):
    return objects["StatefulSet"]["spec"]["template"]["spec"]


def server(objects):
    (container,) = pod(objects)["containers"]
    return container


def containers(objects):
    return pod(objects)["initContainers"] + pod(objects)["containers"]


def flag(command, name):
    return command[command.index(name) + 1] if name in command else None


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
        self.assertGreaterEqual(pod(objects)["terminationGracePeriodSeconds"], DRAIN_SECONDS + 5)

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


class Values(unittest.TestCase):
    """What single values do."""

    def test_image_is_the_charts_version_unless_tag_or_digest_says_otherwise(self):
        digest = "sha256:" + "a" * 64
        version = profile(CHART / "Chart.yaml")["appVersion"]
        for image, expected in [
            ({}, f"portcullis:{version}"),
            ({"tag": "1.2.3"}, "portcullis:1.2.3"),
            ({"tag": "1.2.3", "digest": digest}, f"portcullis@{digest}"),
        ]:
            for container in containers(render(merged(BASE, {"image": image}))):
                self.assertEqual(container["image"], expected)

    def test_app_version_is_the_servers(self):
        cargo = (ROOT / "Cargo.toml").read_text()
        version = re.search(r'^version = "(.+)"$', cargo, re.MULTILINE).group(1)
        self.assertEqual(profile(CHART / "Chart.yaml")["appVersion"], version)

    def test_probes_trust_the_named_authority_and_ask_for_the_named_host(self):
        command = server(render(BASE))["livenessProbe"]["exec"]["command"]
        self.assertEqual(flag(command, "--ca-cert"), "/etc/portcullis/tls/ca.crt")
        self.assertEqual(flag(command, "--server-name"), "demo-portcullis.keys.svc")
        other = merged(BASE, {"tls": {"caKey": "", "serverName": "keys.example.com"}})
        command = server(render(other))["livenessProbe"]["exec"]["command"]
        self.assertIsNone(flag(command, "--ca-cert"))
        self.assertEqual(flag(command, "--server-name"), "keys.example.com")

    def test_bootstrap_runs_after_migrate_only_when_asked(self):
        names = [c["name"] for c in pod(render(BASE))["initContainers"]]
        self.assertEqual(names, ["migrate"])
        init = pod(render(merged(BASE, {"bootstrap": {"enabled": True}})))["initContainers"]
        self.assertEqual([c["name"] for c in init], ["migrate", "bootstrap"])
        self.assertEqual(flag(init[1]["args"], "--out"), f"{DATA}/admin.json")
        self.assertIn("--if-needed", init[1]["args"])

    def test_notes_say_how_to_get_the_first_admin(self):
        asked = notes(merged(BASE, {"bootstrap": {"enabled": True}}))
        path = f"{DATA}/admin.json"
        self.assertIn(f"kubectl -n keys cp -c portcullis demo-portcullis-0:{path} admin.json", asked)
        self.assertIn(f"-- rm {path}", asked)
        self.assertIn("--set bootstrap.enabled=true", notes(BASE))

    def test_environment_is_what_the_values_say(self):
        plain = server(render(BASE))["env"]
        self.assertEqual(plain, [{"name": "PORTCULLIS_LOG", "value": "info"}])
        extra = {"name": "PORTCULLIS_AUDIENCE", "value": "keys"}
        full = {"log": "debug", "otlpEndpoint": "http://collector:4317", "extraEnv": [extra]}
        self.assertEqual(
            server(render(merged(BASE, full)))["env"],
            [
                {"name": "PORTCULLIS_LOG", "value": "debug"},
                {"name": "PORTCULLIS_OTLP_ENDPOINT", "value": "http://collector:4317"},
                extra,
            ],
        )

    def test_long_names_leave_room_for_the_pods_hash_label(self):
        release = "r" * 53  # helm's own limit
        name = render(BASE, release=release)["StatefulSet"]["metadata"]["name"]
        self.assertLessEqual(len(name) + len("-0123456789"), 63)

    def test_placement_reaches_the_pod(self):
        placed = pod(render(profile(CHART / "ci" / "production-values.yaml")))
        for key in ("nodeSelector", "tolerations", "affinity", "priorityClassName", "imagePullSecrets"):
            self.assertTrue(placed[key], key)

    def test_readme_lists_every_value_with_its_default_and_no_other(self):
        leaves = dict(value_leaves(profile(CHART / "values.yaml")))
        documented = chart.documented()
        self.assertEqual(sorted(documented), sorted(leaves))
        for path, default in documented.items():
            if default.startswith("`"):
                self.assertEqual(yaml.safe_load(default.strip("`")), leaves[path], path)


class Refused(unittest.TestCase):
    """Each bad value makes helm fail with a message that names the field."""

    def refused(self, values, *expected, flags=()):
        done = template(values, *flags)
        self.assertNotEqual(done.returncode, 0, f"helm accepted {values}")
        for text in expected:
            self.assertIn(text, done.stderr)

    def test_more_or_fewer_than_one_replica(self):
        for count in (0, 2, 3):
            self.refused(merged(BASE, {"replicaCount": count}), "/replicaCount", "must be 1")

    def test_no_tls_secret(self):
        self.refused({}, "/tls/secretName")
        self.refused({"tls": {"secretName": None}}, "/tls", "secretName")

    def test_both_again_when_the_schema_is_skipped(self):
        skip = ["--skip-schema-validation"]
        self.refused(merged(BASE, {"replicaCount": 2}), "replicaCount is 2", flags=skip)
        self.refused({}, "tls.secretName is empty", flags=skip)

    def test_unknown_keys_at_every_depth(self):
        for change, name in [
            ({"replicas": 2}, "replicas"),
            ({"image": {"name": "x"}}, "name"),
            ({"tls": {"enabled": False}}, "enabled"),
            ({"probes": {"readiness": {"path": "/"}}}, "path"),
            ({"persistence": {"enabled": False}}, "enabled"),
        ]:
            self.refused(merged(BASE, change), f"'{name}' not allowed")

    def test_values_of_a_wrong_shape(self):
        for change, field in [
            ({"image": {"digest": "sha256:abc"}}, "/image/digest"),
            ({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy"),
            ({"otlpEndpoint": "collector:4317"}, "/otlpEndpoint"),
            ({"service": {"port": 70000}}, "/service/port"),
            ({"service": {"type": "ExternalName"}}, "/service/type"),
            ({"persistence": {"accessMode": "ReadWriteMany"}}, "/persistence/accessMode"),
            ({"persistence": {"size": "1GB"}}, "/persistence/size"),
            ({"terminationGracePeriodSeconds": DRAIN_SECONDS}, "/terminationGracePeriodSeconds"),
            ({"resources": {"requests": {"cpu": None, "memory": None}}}, "/resources/requests"),
            ({"podAnnotations": {"a": 1}}, "/podAnnotations/a"),
        ]:
            self.refused(merged(BASE, change), field)

    def test_extra_environment_may_not_shadow_what_the_chart_sets(self):
        for name in ("PORTCULLIS_DATABASE_URL", "PORTCULLIS_LISTEN", "PORTCULLIS_TLS_KEY", "PORTCULLIS_LOG", "1X"):
            self.refused(merged(BASE, {"extraEnv": [{"name": name, "value": "x"}]}), "/extraEnv/0/name")
        self.refused(merged(BASE, {"extraEnv": [{"name": "A"}]}), "/extraEnv/0")


if __name__ == "__main__":
    unittest.main()
