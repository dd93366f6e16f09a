"""What single values do."""

import re
import unittest

import chart
import yaml
from chart import BASE, CHART, ROOT, SHARED, containers, flag, merged, pod, profile, render, server


class Values(unittest.TestCase):
    def test_image_is_the_charts_version_unless_tag_or_digest_says_otherwise(self):
        digest = "sha256:" + "a" * 64
        version = profile(CHART / "Chart.yaml")["appVersion"]
        for image, expected in [
            ({}, f"portcullis:{version}"),
            ({"tag": "1.2.3"}, "portcullis:1.2.3"),
            ({"tag": "1.2.3", "digest": digest}, f"portcullis@{digest}"),
        ]:
            for base in (BASE, SHARED):
                for container in containers(render(merged(base, {"image": image}))):
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

    def test_keys_for_webhooks_come_from_a_secret_when_one_is_named(self):
        self.assertIsNone(flag(server(render(BASE))["args"], "--secrets-key-file"))
        objects = render(merged(BASE, {"secretsKey": {"secretName": "vault", "key": "k.txt"}}))
        self.assertEqual(flag(server(objects)["args"], "--secrets-key-file"), "/etc/portcullis/secrets/k.txt")
        volume = next(v for v in pod(objects)["volumes"] if v["name"] == "secrets-key")
        self.assertEqual(volume["secret"]["secretName"], "vault")
        mount = next(m for m in server(objects)["volumeMounts"] if m["name"] == "secrets-key")
        self.assertEqual((mount["mountPath"], mount["readOnly"]), ("/etc/portcullis/secrets", True))

    def test_authorities_of_clients_come_from_a_secret_or_a_config_map(self):
        self.assertIsNone(flag(server(render(BASE))["args"], "--tls-client-ca"))
        for name, source in [("secretName", "secret"), ("configMapName", "configMap")]:
            change = {"tls": {"clientCa": {name: "clients", "key": "all.pem"}}}
            for base in (BASE, SHARED):
                objects = render(merged(base, change))
                self.assertEqual(flag(server(objects)["args"], "--tls-client-ca"), "/etc/portcullis/client-ca/all.pem")
                self.assertNotIn("--tls-require-client-cert", server(objects)["args"])
                volume = next(v for v in pod(objects)["volumes"] if v["name"] == "client-ca")
                self.assertIn("clients", volume[source].values())
                mount = next(m for m in server(objects)["volumeMounts"] if m["name"] == "client-ca")
                self.assertEqual((mount["mountPath"], mount["readOnly"]), ("/etc/portcullis/client-ca", True))

    def test_connections_and_calls_are_as_many_as_the_values_say(self):
        flags = ("--max-connections", "--max-connections-per-address", "--max-calls", "--max-calls-per-address")
        changed = {"maxConnections": 1000000, "maxConnectionsPerAddress": 0, "maxCalls": 5, "maxCallsPerAddress": 4}
        for base in (BASE, SHARED):
            for change, expected in [({}, ["150", "50", "1024", "256"]), (changed, ["1000000", "0", "5", "4"])]:
                args = server(render(merged(base, change)))["args"]
                self.assertEqual([flag(args, name) for name in flags], expected)

    def test_by_default_what_an_attacker_can_open_and_a_small_index_fit_the_memory(self):
        values = profile(CHART / "values.yaml")
        opened = 1.7 * values["maxConnections"] + 0.1 * values["maxCalls"]
        worst = opened + 40 + 2 * 35  # MiB; the last for 100,000 keys, whose index is made anew
        self.assertLess(worst, float(values["resources"]["limits"]["memory"].removesuffix("Mi")))

    def test_headers_for_the_collector_come_from_a_secret(self):
        change = {"otlpEndpoint": "http://collector:4317", "otlpHeaders": {"secretName": "collector"}}
        for base in (BASE, SHARED):
            named = chart.env(server(render(merged(base, change))))["OTEL_EXPORTER_OTLP_HEADERS"]
            self.assertEqual(named, {"secretKeyRef": {"name": "collector", "key": "headers"}})

    def test_environment_is_what_the_values_say(self):
        plain = server(render(BASE))["env"]
        names = ["PORTCULLIS_LOG", "PORTCULLIS_LOG_FORMAT", "PORTCULLIS_DRAIN"]
        self.assertEqual(plain, [{"name": n, "value": v} for n, v in zip(names, ["info", "json", "10s"], strict=True)])
        extra = {"name": "PORTCULLIS_AUDIENCE", "value": "keys"}
        full = {"log": "debug", "logFormat": "text", "otlpEndpoint": "http://collector:4317", "extraEnv": [extra]}
        self.assertEqual(
            server(render(merged(BASE, full)))["env"],
            [
                {"name": "PORTCULLIS_LOG", "value": "debug"},
                {"name": "PORTCULLIS_LOG_FORMAT", "value": "text"},
                {"name": "PORTCULLIS_DRAIN", "value": "10s"},
                {"name": "PORTCULLIS_OTLP_ENDPOINT", "value": "http://collector:4317"},
                extra,
            ],
        )

    def test_files_that_extra_settings_name_are_mounted_wherever_those_settings_are(self):
        named = {"name": "PORTCULLIS_CONFIG", "value": "/etc/portcullis/config/portcullis.toml"}
        mount = {"name": "settings", "mountPath": "/etc/portcullis/config", "readOnly": True}
        volume = {"name": "settings", "configMap": {"name": "settings"}}
        change = {"extraEnv": [named], "extraVolumes": [volume], "extraVolumeMounts": [mount]}
        for base in (merged(BASE, {"bootstrap": {"enabled": True}}), SHARED):
            objects = render(merged(base, change))
            for spec in chart.pods(objects):
                self.assertIn(volume, spec["volumes"])
            for container in containers(objects):
                self.assertIn(named, container["env"])
                self.assertIn(mount, container["volumeMounts"], container["name"])

    def test_long_names_leave_room_for_what_kubernetes_and_the_chart_put_behind(self):
        release = "r" * 53  # helm's own limit
        name = render(BASE, release=release).workload()["metadata"]["name"]
        self.assertLessEqual(len(name) + len("-0123456789"), 63)
        for item in render(merged(SHARED, {"admin": {"enabled": True}}), release=release):
            self.assertLessEqual(len(item["metadata"]["name"]), 63)

    def test_a_release_with_dots_in_its_name_has_names_that_services_may_have(self):
        for base in (BASE, merged(SHARED, {"admin": {"enabled": True}})):
            for item in render(base, release="team.keys.v2"):
                self.assertRegex(item["metadata"]["name"], "^team-keys-v2-portcullis(-[a-z]+)?$")
        long = render(BASE, release="r" * 51 + ".v").workload()
        self.assertRegex(long["metadata"]["name"], "^[a-z]([a-z0-9-]*[a-z0-9])?$")

    def test_what_kubernetes_takes_is_taken(self):
        resources = {
            "requests": {"cpu": 1, "memory": "1.5Gi"},
            "limits": {"cpu": "250m", "memory": 536870912, "ephemeral-storage": "1e9", "example.com/card": "1"},
        }
        blocks = ("0.0.0.0/0", "255.255.255.255/32", "::/0", "2001:db8::1/128", "::ffff:10.0.0.0/104", "FE80::/10")
        for repository in ("portcullis", "localhost:5000/portcullis", "ghcr.io/a-b/c_d__e.f", "[2001:db8::1]:5000/a/b"):
            clients = [{"ipBlock": {"cidr": cidr, "except": ["10.1.0.0/16"]}} for cidr in blocks]
            change = {
                "image": {"repository": repository},
                "resources": resources,
                "tls": {"secretName": "keys.example.com"},
                "nameOverride": "2nd",
                "networkPolicy": {"clients": clients},
            }
            render(merged(BASE, change))

    def test_placement_reaches_the_pod(self):
        placed = pod(render(profile(CHART / "ci" / "sqlite-production-values.yaml")))
        for key in ("nodeSelector", "tolerations", "affinity", "priorityClassName", "imagePullSecrets"):
            self.assertTrue(placed[key], key)

    def test_readme_lists_every_value_with_its_default_and_no_other(self):
        leaves = dict(chart.value_leaves(profile(CHART / "values.yaml")))
        documented = chart.documented()
        self.assertEqual(sorted(documented), sorted(leaves))
        for path, default in documented.items():
            if default.startswith("`"):
                self.assertEqual(yaml.safe_load(default.strip("`")), leaves[path], path)
