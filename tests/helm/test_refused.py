"""What must be refused, with a message that names the field."""

import unittest

from chart import BASE, merged, template


class Refused(unittest.TestCase):
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

    def test_a_stop_that_would_cut_the_drain_short(self):
        for change in ({"terminationGracePeriodSeconds": 14}, {"drainSeconds": 26}):
            self.refused(merged(BASE, change), "terminationGracePeriodSeconds", "drainSeconds")

    def test_unknown_keys_at_every_depth(self):
        for change, name in [
            ({"replicas": 2}, "replicas"),
            ({"image": {"name": "x"}}, "name"),
            ({"tls": {"enabled": False}}, "enabled"),
            ({"secretsKey": {"value": "x"}}, "value"),
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
            ({"drainSeconds": 0}, "/drainSeconds"),
            ({"logFormat": "xml"}, "/logFormat"),
            ({"resources": {"requests": {"cpu": None, "memory": None}}}, "/resources/requests"),
            ({"podAnnotations": {"a": 1}}, "/podAnnotations/a"),
        ]:
            self.refused(merged(BASE, change), field)

    def test_extra_environment_may_not_shadow_what_the_chart_sets(self):
        for name in ("PORTCULLIS_DATABASE_URL", "PORTCULLIS_LISTEN", "PORTCULLIS_TLS_KEY", "PORTCULLIS_DRAIN", "1X"):
            self.refused(merged(BASE, {"extraEnv": [{"name": name, "value": "x"}]}), "/extraEnv/0/name")
        self.refused(merged(BASE, {"extraEnv": [{"name": "A"}]}), "/extraEnv/0")
