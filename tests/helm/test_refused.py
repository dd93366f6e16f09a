"""What must be refused, with a message that names the field and says what to do."""

from chart import BASE, SHARED, containers, copy_of_the_chart, env, merged, pods, render, server, template
from refusals import Refusals

PEER = [{"podSelector": {}}]


class Refused(Refusals):
    def test_an_embedded_database_with_more_or_fewer_than_one_replica(self):
        for count in (0, 2, 3):
            expected = f"replicaCount is {count}: the embedded database has one writer, set it to 1"
            self.refused_twice(merged(BASE, {"replicaCount": count}), expected, "database.engine to postgresql")

    def test_an_embedded_database_that_scales(self):
        self.refused_twice(merged(BASE, {"autoscaling": {"enabled": True}}), "autoscaling.enabled: the embedded database")

    def test_an_embedded_database_with_a_url(self):
        self.refused_twice(merged(BASE, {"database": {"secretName": "x"}}), "set database.engine to postgresql")

    def test_an_embedded_database_with_what_only_a_server_has(self):
        self.refused_twice(merged(BASE, {"migration": {"secretName": "owner"}}), "migration.secretName is set", "sqlite")
        self.refused_twice(merged(BASE, {"database": {"caSecretName": "ca"}}), "database.caSecretName is set", "sqlite")

    def test_a_database_whose_url_no_secret_names(self):
        self.refused_twice(merged(SHARED, {"database": {"secretName": ""}}), "database.secretName is empty: name a Secret")

    def test_a_url_as_a_value(self):
        self.refused(merged(SHARED, {"database": {"url": "postgres://a:b@c/d"}}), "'url' not allowed")

    def test_no_replica(self):
        self.refused_twice(merged(SHARED, {"replicaCount": 0}), "replicaCount is 0: set it to 1 or more")

    def test_an_unknown_engine(self):
        self.refused(merged(BASE, {"database": {"engine": "mysql"}}), "/database/engine")
        self.refused(
            merged(BASE, {"database": {"engine": "mysql"}}),
            "database.engine is mysql: set it to sqlite or postgresql",
            flags=["--skip-schema-validation"],
        )

    def test_plaintext(self):
        for base in (BASE, SHARED):
            self.refused_twice(merged(base, {"tls": {"secretName": ""}}), "tls.secretName is empty", "plaintext")
            extra = [{"name": "PORTCULLIS_ALLOW_PLAINTEXT", "value": "true"}]
            self.refused_twice(merged(base, {"extraEnv": extra}), "this chart never serves in plaintext")
        self.refused({}, "tls.secretName is empty")

    def test_a_stop_that_would_cut_the_drain_short(self):
        for change, least in [({"terminationGracePeriodSeconds": 24}, 25), ({"drainSeconds": 31}, 46)]:
            text = f"set it to {least} or more, 15 above drainSeconds"
            self.refused_twice(merged(BASE, change), "terminationGracePeriodSeconds", text, "a database that hangs")
        for change, least in [({"drainSeconds": 26}, 46), ({"preStopSeconds": 21}, 46)]:
            self.refused_twice(merged(SHARED, change), f"set it to {least} or more", "preStopSeconds")
        for base, most in [(BASE, {"terminationGracePeriodSeconds": 25}), (SHARED, {"terminationGracePeriodSeconds": 30})]:
            self.assertEqual(template(merged(base, most)).returncode, 0)

    def test_a_first_admin_where_there_is_no_volume_for_it(self):
        self.refused_twice(merged(SHARED, {"bootstrap": {"enabled": True}}), "bootstrap.enabled: no pod of this profile")

    def test_scaling_that_cannot_work(self):
        no_cpu = {"autoscaling": {"enabled": True}, "resources": {"requests": {"cpu": None}}}
        self.refused_twice(merged(SHARED, no_cpu), "resources.requests.cpu is missing")
        crossed = {"autoscaling": {"enabled": True, "minReplicas": 5, "maxReplicas": 4}}
        self.refused_twice(merged(SHARED, crossed), "autoscaling.minReplicas is 5, and maxReplicas only 4")

    def test_scraping_without_a_port(self):
        monitor = {"serviceMonitor": {"enabled": True}}
        self.refused_twice(merged(BASE, monitor), "without admin.enabled there is no port to scrape")
        self.refused_twice(merged(BASE, {"admin": {"enabled": True, "port": 50051}}), "admin.port is 50051")

    def test_rules_and_dashboard_that_the_chart_does_not_have(self):
        with copy_of_the_chart() as copy:
            for name, file in [("prometheusRule", "alerts.yaml"), ("dashboard", "dashboard.json")]:
                expected = f"{name}.enabled: this chart has no files/{file}"
                self.refused(merged(BASE, {name: {"enabled": True}}), expected, chart=copy)

    def test_a_network_that_is_closed_to_what_is_needed(self):
        open_to = {"networkPolicy": {"enabled": True, "clients": PEER, "database": {"to": PEER}}}
        for base, change, expected in [
            (BASE, {"networkPolicy": {"clients": []}}, "networkPolicy.clients is empty: nobody could call"),
            (BASE, {"networkPolicy": {"dns": []}}, "networkPolicy.dns is empty"),
            (SHARED, {"networkPolicy": {"database": {"to": []}}}, "networkPolicy.database.to is empty"),
            (BASE, {"otlpEndpoint": "http://c:4317"}, "networkPolicy.collector.to is empty"),
            (BASE, {"smtp": {"url": "smtp://h:587", "from": "a@b.c"}}, "networkPolicy.smtp.to is empty"),
            (
                BASE,
                {"secretsKey": {"secretName": "k"}, "networkPolicy": {"webhooks": {"to": []}}},
                "networkPolicy.webhooks.to is empty",
            ),
            (
                BASE,
                {"admin": {"enabled": True}, "serviceMonitor": {"enabled": True}},
                "networkPolicy.monitoring is empty",
            ),
        ]:
            self.refused_twice(merged(merged(base, open_to), change), expected)

    def test_a_network_that_is_open_at_another_port_than_is_called(self):
        outside, service = [{"ipBlock": {"cidr": "192.0.2.25/32"}}], PEER
        for change, called, name, port in [
            ({"smtp": {"url": "smtp://h:2525", "from": "a@b.c"}}, 2525, "smtp", 587),
            ({"smtp": {"url": "smtps://h", "from": "a@b.c"}}, 465, "smtp", 587),
            ({"otlpEndpoint": "http://[2001:db8::1]:4318"}, 4318, "collector", 4317),
            ({"otlpEndpoint": "https://c/"}, 443, "collector", 4317),
        ]:
            policy = {"enabled": True, "clients": PEER, name: {"to": outside, "port": port}}
            values = merged(merged(BASE, change), {"networkPolicy": policy})
            self.refused_twice(values, f"networkPolicy.{name}.port is {port}", f"leads to port {called}")
            policy[name]["to"] = service
            done = template(merged(values, {"networkPolicy": policy}))
            self.assertEqual(done.returncode, 0, "a Service may have another port than its pods: " + done.stderr)

    def test_secrets_as_values(self):
        for name, value in [
            ("PGPASSWORD", "x"),
            ("SOME_URL", "postgres://a:b@c/d"),
            ("SOME_KEY", "-----BEGIN PRIVATE KEY-----"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "authorization=x"),
        ]:
            extra = {"extraEnv": [{"name": name, "value": value}]}
            self.refused_twice(merged(SHARED, extra), f"extraEnv gives {name} a secret as its value", "secretKeyRef")
        for url in ("smtp://a:b@c:587", "smtps://a:b/c@d"):
            mail = {"smtp": {"url": url, "from": "a@b.c"}}
            self.refused_twice(merged(BASE, mail), "smtp.url holds a password", "smtp.secretName")
        for endpoint in ("http://a:b@c:4317", "https://b@c", "http://a:b/c@d:4317"):
            for base in (BASE, SHARED):
                text = ("otlpEndpoint holds a user or a password", "otlpHeaders.secretName")
                self.refused_twice(merged(base, {"otlpEndpoint": endpoint}), *text)

    def test_mail_that_is_half_set(self):
        self.refused_twice(merged(BASE, {"smtp": {"url": "smtp://c:587"}}), "smtp.from is empty")
        self.refused_twice(merged(BASE, {"smtp": {"secretName": "x"}}), "smtp.url is empty")

    def test_headers_for_no_collector(self):
        self.refused_twice(merged(BASE, {"otlpHeaders": {"secretName": "x"}}), "otlpEndpoint is empty")

    def test_client_certificates_that_would_kill_pods_or_let_nobody_in(self):
        required = {"tls": {"requireClientCert": True}}
        believed = {"tls": {"clientCa": {"secretName": "clients"}}}
        for base in (BASE, SHARED):
            self.refused_twice(merged(base, required), "nobody's certificate would be believed", "tls.clientCa")
            self.refused_twice(merged(merged(base, required), believed), "set admin.enabled")
        both = {"tls": {"clientCa": {"secretName": "clients", "configMapName": "clients"}}}
        self.refused_twice(merged(BASE, both), "tls.clientCa names a Secret and a ConfigMap")

    def test_a_release_whose_name_no_service_may_have(self):
        self.refused(BASE, "1st-portcullis", "fullnameOverride", release="1st")
        self.refused(BASE, "1st-portcullis", "fullnameOverride", release="1st", flags=["--skip-schema-validation"])

    def test_extra_environment_may_not_shadow_what_the_chart_sets(self):
        for name, instead in [
            ("PORTCULLIS_DATABASE_URL", "database"),
            ("PORTCULLIS_LISTEN", "service"),
            ("PORTCULLIS_TLS_KEY", "tls"),
            ("PORTCULLIS_DRAIN", "drainSeconds"),
            ("PORTCULLIS_ADMIN_LISTEN", "admin"),
            ("PORTCULLIS_SMTP_PASSWORD", "smtp.secretName"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "otlpHeaders"),
            ("PORTCULLIS_MAX_CONNECTIONS", "maxConnections"),
            ("PORTCULLIS_TLS_CLIENT_CA", "tls.clientCa"),
            ("PORTCULLIS_TLS_REQUIRE_CLIENT_CERT", "tls.requireClientCert"),
        ]:
            extra = {"extraEnv": [{"name": name, "value": "x"}]}
            self.refused_twice(merged(BASE, extra), f"extraEnv sets {name}, which the chart sets itself: use {instead}")
        self.refused(merged(BASE, {"extraEnv": [{"name": "1X", "value": "x"}]}), "/extraEnv/0/name")
        self.refused(merged(BASE, {"extraEnv": [{"name": "A"}]}), "/extraEnv/0")

    def test_extra_environment_may_set_nothing_that_any_profile_sets(self):
        on = {
            "admin": {"enabled": True},
            "bootstrap": {"enabled": True},
            "otlpEndpoint": "http://c:4317",
            "otlpHeaders": {"secretName": "x"},
            "secretsKey": {"secretName": "x"},
            "smtp": {"url": "smtp://u@h", "from": "a@b.c", "secretName": "x"},
            "tls": {"clientCa": {"secretName": "x"}, "requireClientCert": True},
        }
        own = set()
        for base, change in [(BASE, on), (SHARED, on | {"bootstrap": {"enabled": False}})]:
            objects = render(merged(base, change))
            own |= {name for container in containers(objects) for name in env(container)}
            flags = [argument for argument in server(objects)["args"] if argument.startswith("--")]
            own |= {"PORTCULLIS_" + flag.strip("-").replace("-", "_").upper() for flag in flags}
        self.assertGreater(len(own), 15)
        for name in own:
            extra = {"extraEnv": [{"name": name, "value": "x"}]}
            self.refused(merged(BASE, extra), f"extraEnv sets {name}, which the chart sets itself")

    def test_extra_environment_names_nothing_twice(self):
        extra = [{"name": "RUST_BACKTRACE", "value": value} for value in ("0", "1")]
        self.refused_twice(merged(SHARED, {"extraEnv": extra}), "extraEnv names RUST_BACKTRACE twice")

    def test_extra_volumes_have_names_of_their_own(self):
        everything = {
            "tls": {"clientCa": {"secretName": "x"}},
            "secretsKey": {"secretName": "x"},
        }
        own = {"data"}  # a claim
        for base in (BASE, merged(SHARED, {"database": {"caSecretName": "x"}})):
            for spec in pods(render(merged(base, everything))):
                own |= {volume["name"] for volume in spec["volumes"]}
        self.assertGreaterEqual(len(own), 6)
        for name in own:
            extra = {"extraVolumes": [{"name": name, "emptyDir": {}}]}
            self.refused_twice(merged(BASE, extra), f"extraVolumes names {name}, as the chart names a volume of its own")
        extra = {"extraVolumes": [{"name": "mine", "emptyDir": {}}] * 2}
        self.refused_twice(merged(BASE, extra), "extraVolumes names mine twice")

    def test_a_cluster_that_is_too_old(self):
        self.refused(SHARED, "kubeVersion", flags=["--kube-version", "1.29.0"])
