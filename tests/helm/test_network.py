"""Who may talk with the pods, and what watches them."""

import json
import re
import unittest

from chart import ALERTS, BASE, CHART, ROOT, SHARED, copy_of_the_chart, flag, merged, profile, render, server

HERE = [{"podSelector": {"matchLabels": {"app": "gateway"}}}]
CLOSED = {"networkPolicy": {"enabled": True, "clients": HERE, "database": {"to": HERE}}}
ADMIN = {"admin": {"enabled": True, "port": 9000}}


def rules(policy, direction, peers):
    return {(p["protocol"], p["port"]): rule[peers] for rule in policy["spec"][direction] for p in rule["ports"]}


class Network(unittest.TestCase):
    def test_there_is_no_policy_unless_asked(self):
        self.assertEqual(render(SHARED).all("NetworkPolicy"), [])

    def test_only_those_who_are_named_may_call(self):
        policy = render(merged(SHARED, CLOSED)).one("NetworkPolicy")
        self.assertEqual(policy["spec"]["policyTypes"], ["Ingress", "Egress"])
        self.assertEqual(rules(policy, "ingress", "from"), {("TCP", 50051): HERE})

    def test_the_pods_of_the_policy_are_the_servers(self):
        objects = render(merged(SHARED, CLOSED))
        selected = objects.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]
        self.assertEqual(selected, objects.workload()["spec"]["template"]["metadata"]["labels"])

    def test_only_monitoring_may_ask_the_admin_port(self):
        monitoring = [{"namespaceSelector": {"matchLabels": {"team": "watch"}}}]
        change = merged(merged(CLOSED, ADMIN), {"networkPolicy": {"monitoring": monitoring}})
        policy = render(merged(SHARED, change)).one("NetworkPolicy")
        self.assertEqual(rules(policy, "ingress", "from"), {("TCP", 50051): HERE, ("TCP", 9000): monitoring})
        change["admin"] = {"enabled": False}
        self.assertNotIn(("TCP", 9000), rules(render(merged(SHARED, change)).one("NetworkPolicy"), "ingress", "from"))

    def test_pods_get_out_to_what_is_switched_on_and_no_further(self):
        dns = {("UDP", 53), ("TCP", 53)}

        def out(base, change):
            return set(rules(render(merged(merged(base, CLOSED), change)).one("NetworkPolicy"), "egress", "to"))

        self.assertEqual(out(BASE, {}), dns)
        self.assertEqual(out(SHARED, {"networkPolicy": {"database": {"port": 6432}}}), dns | {("TCP", 6432)})
        collector = {"otlpEndpoint": "http://c:4317", "networkPolicy": {"collector": {"to": HERE}}}
        self.assertEqual(out(BASE, collector), dns | {("TCP", 4317)})
        self.assertEqual(out(BASE, {"secretsKey": {"secretName": "k"}}), dns | {("TCP", 443)})
        mail = {"smtp": {"url": "smtps://h:465", "from": "a@b.c"}, "networkPolicy": {"smtp": {"to": HERE}}}
        self.assertEqual(out(BASE, mail), dns | {("TCP", 465)})

    def test_the_ports_that_are_open_are_those_that_are_called_unless_a_service_translates(self):
        for url, name, port in [
            ("http://c:4318", "collector", 4318),
            ("http://c", "collector", 80),
            ("https://u.example.com/", "collector", 443),
            ("smtp://u@mail.example.com", "smtp", 587),
            ("smtps://u@[2001:db8::25]", "smtp", 465),
            ("smtp://u@mail.example.com:2525/", "smtp", 2525),
        ]:
            called = {"otlpEndpoint": url} if name == "collector" else {"smtp": {"url": url, "from": "a@b.c"}}
            for change, expected in [({"to": HERE}, port), ({"to": HERE, "port": 9}, 9)]:
                values = merged(merged(BASE, CLOSED), merged(called, {"networkPolicy": {name: change}}))
                policy = render(values).one("NetworkPolicy")
                self.assertIn(("TCP", expected), rules(policy, "egress", "to"), url)

    def test_webhooks_get_out_to_public_addresses_alone(self):
        policy = render(merged(merged(BASE, CLOSED), {"secretsKey": {"secretName": "k"}})).one("NetworkPolicy")
        blocks = [peer["ipBlock"] for peer in rules(policy, "egress", "to")[("TCP", 443)]]
        self.assertEqual([block["cidr"] for block in blocks], ["0.0.0.0/0", "::/0"])
        for private in ("10.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"):
            self.assertIn(private, blocks[0]["except"])

    def test_the_migrating_job_gets_to_the_database_and_is_called_by_nobody(self):
        objects = render(merged(SHARED, CLOSED))
        policy = objects.one("NetworkPolicy", "-migrate")
        job = objects.one("Job", "-migrate")
        labels = job["spec"]["template"]["metadata"]["labels"]
        self.assertEqual(policy["spec"]["podSelector"]["matchLabels"], labels)
        self.assertEqual(policy["spec"]["ingress"], [])
        self.assertEqual(set(rules(policy, "egress", "to")), {("UDP", 53), ("TCP", 53), ("TCP", 5432)})
        weights = [int(item["metadata"]["annotations"]["helm.sh/hook-weight"]) for item in (policy, job)]
        self.assertLess(*weights, "it must hold before the Job starts")


class Watched(unittest.TestCase):
    def test_with_the_admin_port_probes_ask_there_and_live_is_not_ready(self):
        for base in (BASE, SHARED):
            container = server(render(merged(base, ADMIN)))
            self.assertEqual(flag(container["args"], "--admin-listen"), "0.0.0.0:9000")
            self.assertIn({"name": "admin", "containerPort": 9000}, container["ports"])
            paths = {k: container[f"{k}Probe"]["httpGet"] for k in ("startup", "liveness", "readiness")}
            live, ready = ({"path": path, "port": "admin"} for path in ("/livez", "/readyz"))
            self.assertEqual(paths, {"startup": live, "liveness": live, "readiness": ready})
            self.assertIsNone(flag(server(render(base))["args"], "--admin-listen"))

    def test_the_admin_port_is_in_no_service_that_callers_use(self):
        objects = render(merged(SHARED, merged(ADMIN, {"service": {"type": "LoadBalancer"}})))
        for service in objects.all("Service"):
            names = [port["name"] for port in service["spec"]["ports"]]
            self.assertEqual(names, ["admin"] if service["metadata"]["name"].endswith("-admin") else ["grpc"])
        admin = objects.one("Service", "-admin")["spec"]
        self.assertEqual((admin["clusterIP"], admin["publishNotReadyAddresses"]), ("None", True))

    def test_a_service_monitor_finds_that_service_and_no_other(self):
        change = merged(ADMIN, {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}})
        objects = render(merged(SHARED, change))
        monitor = objects.one("ServiceMonitor")
        self.assertEqual(monitor["metadata"]["labels"]["release"], "prometheus")
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        found = [s["metadata"]["name"] for s in objects.all("Service") if wanted <= s["metadata"]["labels"].items()]
        self.assertEqual(found, ["demo-portcullis-admin"])
        self.assertEqual(monitor["spec"]["endpoints"], [{"port": "admin", "path": "/metrics", "interval": "30s"}])

    def test_rules_and_dashboard_are_the_files_of_the_chart_to_the_letter(self):
        board = json.dumps({"title": "{{ not for helm }}"}, indent=2)
        on = {"prometheusRule": {"enabled": True}, "dashboard": {"enabled": True}}
        with copy_of_the_chart({"alerts.yaml": ALERTS, "dashboard.json": board}) as copy:
            objects = render(merged(SHARED, on), chart=copy)
        (group,) = objects.one("PrometheusRule")["spec"]["groups"]
        self.assertEqual(group["rules"][0]["annotations"]["summary"], "{{ $labels.instance }} is away")
        config = objects.one("ConfigMap", "-dashboard")
        self.assertEqual(config["metadata"]["labels"]["grafana_dashboard"], "1")
        self.assertEqual(config["data"]["demo-portcullis.json"].rstrip("\n"), board)

    def test_the_charts_own_files_render(self):
        for name, file, kind in [
            ("prometheusRule", "alerts.yaml", "PrometheusRule"),
            ("dashboard", "dashboard.json", "ConfigMap"),
        ]:
            if (CHART / "files" / file).exists():
                objects = render(merged(SHARED, {name: {"enabled": True}}))
                self.assertEqual(len(objects.all(kind)), 1)

    def test_who_asks_how_keys_are_answered_for_does_not_count_probes_of_health(self):
        asked = "".join(path.read_text() for path in (CHART / "files" / "dashboard.json", ROOT / "docs" / "monitoring.md"))
        patterns = set(re.findall(r'rpc_method=~\\?"([^"\\]*VerifyKey(?:[^"\\]|\\\|)*)', asked))
        self.assertTrue(patterns)
        for pattern in patterns:
            whole = re.compile(pattern.replace("\\|", "|"))
            self.assertTrue(whole.fullmatch("portcullis.v1.KeyService/VerifyKey"), pattern)
            self.assertTrue(whole.fullmatch("envoy.service.auth.v3.Authorization/Check"), pattern)
            self.assertFalse(whole.fullmatch("grpc.health.v1.Health/Check"), pattern)

    def test_mail_needs_no_password_in_a_value(self):
        container = server(render(profile(CHART / "ci" / "postgresql-production-values.yaml")))
        names = {item["name"]: item for item in container["env"]}
        self.assertEqual(names["PORTCULLIS_SMTP_FROM"]["value"], "keys@example.com")
        reference = names["PORTCULLIS_SMTP_PASSWORD"]["valueFrom"]["secretKeyRef"]
        self.assertEqual(reference, {"name": "portcullis-smtp", "key": "password"})
