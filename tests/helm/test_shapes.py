"""What values.schema.json refuses: values that are of no shape which Kubernetes or the server would take."""

from chart import BASE, SHARED, merged
from refusals import Refusals


def at(path, value):
    """Values with this one at its dotted path."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


class Shapes(Refusals):
    def test_a_budget_that_holds_up_every_drain(self):
        self.refused(merged(SHARED, {"podDisruptionBudget": {"maxUnavailable": 0}}), "/podDisruptionBudget/maxUnavailable")

    def test_unknown_keys_at_every_depth(self):
        for change, name in [
            ({"replicas": 2}, "replicas"),
            ({"image": {"name": "x"}}, "name"),
            ({"tls": {"enabled": False}}, "enabled"),
            ({"secretsKey": {"value": "x"}}, "value"),
            ({"smtp": {"password": "x"}}, "password"),
            ({"probes": {"readiness": {"path": "/"}}}, "path"),
            ({"persistence": {"enabled": False}}, "enabled"),
            ({"networkPolicy": {"clients": [{"pod": {}}]}}, "pod"),
        ]:
            self.refused(merged(BASE, change), f"'{name}' not allowed")

    def test_values_of_a_wrong_shape(self):
        for change, field in [
            ({"image": {"digest": "sha256:abc"}}, "/image/digest"),
            ({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy"),
            ({"replicaCount": "2"}, "/replicaCount"),
            ({"otlpEndpoint": "collector:4317"}, "/otlpEndpoint"),
            ({"service": {"port": 70000}}, "/service/port"),
            ({"service": {"type": "ExternalName"}}, "/service/type"),
            ({"admin": {"port": 80}}, "/admin/port"),
            ({"spread": {"nodes": "soft"}}, "/spread/nodes"),
            ({"autoscaling": {"maxReplicas": 500}}, "/autoscaling/maxReplicas"),
            ({"migration": {"activeDeadlineSeconds": 1}}, "/migration/activeDeadlineSeconds"),
            ({"persistence": {"accessMode": "ReadWriteMany"}}, "/persistence/accessMode"),
            ({"persistence": {"size": "1GB"}}, "/persistence/size"),
            ({"drainSeconds": 0}, "/drainSeconds"),
            ({"maxConnections": 0}, "/maxConnections"),
            ({"logFormat": "xml"}, "/logFormat"),
            ({"smtp": {"url": "http://c"}}, "/smtp/url"),
            ({"resources": {"requests": {"cpu": None, "memory": None}}}, "/resources/requests"),
            ({"podAnnotations": {"a": 1}}, "/podAnnotations/a"),
        ]:
            self.refused(merged(BASE, change), field)

    def test_names_that_kubernetes_does_not_take(self):
        names = ("Upper", "under_score", "-dash", "dash-", "dots..twice", "white space", "x" * 254)
        paths = [
            "database.secretName", "database.caSecretName", "tls.secretName", "tls.clientCa.secretName",
            "tls.clientCa.configMapName", "secretsKey.secretName", "smtp.secretName", "migration.secretName",
            "migration.serviceAccount.name", "otlpHeaders.secretName", "serviceAccount.name",
            "persistence.storageClassName", "priorityClassName",
        ]  # fmt: skip
        for path in paths:
            for name in names if path == "tls.secretName" else names[:1]:
                self.refused(merged(BASE, at(path, name)), "/" + path.replace(".", "/"))
        self.refused(merged(BASE, {"imagePullSecrets": [{"name": "Upper"}]}), "/imagePullSecrets/0/name")
        for path in ("nameOverride", "fullnameOverride"):
            for name in (*names, "a.b"):
                self.refused(merged(BASE, at(path, name)), f"/{path}")
        self.refused(merged(BASE, {"extraVolumes": [{"name": "a.b", "emptyDir": {}}]}), "/extraVolumes/0/name")

    def test_images_that_are_no_repositories(self):
        digest = "x@sha256:" + "0" * 64
        for repository in ("portcullis:1.2.3", "a b", " portcullis", "Portcullis", digest, "https://x/y", "x/"):
            self.refused(merged(BASE, {"image": {"repository": repository}}), "/image/repository")

    def test_quantities_that_kubernetes_does_not_read(self):
        for kind, key, value in [
            ("requests", "cpu", "1 core"), ("requests", "cpu", "100M "), ("requests", "cpu", "-1"),
            ("requests", "memory", "128MB"), ("limits", "memory", "512mb"), ("limits", "memory", -1),
            ("limits", "memory", "512m"), ("limits", "ephemeral-storage", "1gi"),
        ]:  # fmt: skip
            change = {kind: {key: value}}
            self.refused(merged(BASE, {"resources": change}), f"/resources/{kind}/{key}")
            self.refused(merged(SHARED, {"migration": {"resources": change}}), f"/migration/resources/{kind}/{key}")

    def test_networks_that_are_none(self):
        def refused(block):
            change = {"networkPolicy": {"clients": [{"ipBlock": block}]}}
            self.refused(merged(BASE, change), "/networkPolicy/clients/0/ipBlock")

        for cidr in ("10.0.0.1", "10.0.0.0/33", "256.0.0.0/8", "010.0.0.0/8", "2001:db8::/129", "collector", "::1", " ::/0"):
            refused({"cidr": cidr})
            refused({"cidr": "10.0.0.0/8", "except": [cidr]})
        refused({"cidr": "10.0.0.0/8", "but": []})
