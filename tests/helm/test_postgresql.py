"""What is only of the profile with many replicas on one PostgreSQL."""

import unittest

from chart import CHART, SHARED, containers, env, merged, migrating_pod, notes, pod, profile, render, server


def url_of(container):
    return env(container)["PORTCULLIS_DATABASE_URL"]["secretKeyRef"]


class ManyReplicas(unittest.TestCase):
    def test_replicas_are_a_deployment_that_keeps_nothing(self):
        objects = render(merged(SHARED, {"replicaCount": 3}))
        self.assertEqual(objects.workload()["kind"], "Deployment")
        self.assertEqual(objects.workload()["spec"]["replicas"], 3)
        self.assertEqual(objects.all("PersistentVolumeClaim"), [])
        self.assertNotIn("initContainers", pod(objects))

    def test_an_update_goes_one_by_one_and_never_below_what_there_was(self):
        spec = render(SHARED).workload()["spec"]
        self.assertEqual(spec["strategy"]["rollingUpdate"], {"maxSurge": 1, "maxUnavailable": 0})
        startup = spec["template"]["spec"]["containers"][0]["startupProbe"]
        whole = startup["periodSeconds"] * startup["failureThreshold"]
        self.assertGreater(spec["progressDeadlineSeconds"], whole)

    def test_the_url_comes_from_a_secret_and_stands_in_no_argument(self):
        objects = render(SHARED)
        for container in containers(objects):
            self.assertEqual(url_of(container), {"name": "portcullis-database", "key": "url"})
            self.assertNotIn("--database-url", container["args"])

    def test_the_schema_may_belong_to_another_role(self):
        objects = render(merged(SHARED, {"migration": {"secretName": "owner", "key": "dsn"}}))
        self.assertEqual(url_of(migrating_pod(objects)["containers"][0]), {"name": "owner", "key": "dsn"})
        self.assertEqual(url_of(server(objects)), {"name": "portcullis-database", "key": "url"})

    def test_the_migrating_job_is_a_hook_with_an_account_and_an_end_of_its_own(self):
        objects = render(merged(SHARED, {"migration": {"activeDeadlineSeconds": 60, "backoffLimit": 1}}))
        job = objects.one("Job", "-migrate")
        self.assertEqual((job["spec"]["activeDeadlineSeconds"], job["spec"]["backoffLimit"]), (60, 1))
        self.assertEqual(migrating_pod(objects)["serviceAccountName"], "demo-portcullis-migrate")
        self.assertEqual(pod(objects)["serviceAccountName"], "demo-portcullis")
        account = objects.one("ServiceAccount", "-migrate")["metadata"]["annotations"]
        mine = job["metadata"]["annotations"]
        self.assertEqual(account["helm.sh/hook"], mine["helm.sh/hook"], "it must be there when the Job starts")
        self.assertLess(int(account["helm.sh/hook-weight"]), int(mine["helm.sh/hook-weight"]))
        self.assertIn("before-hook-creation", mine["helm.sh/hook-delete-policy"])
        own = merged(SHARED, {"migration": {"serviceAccount": {"create": False, "name": "mine"}}})
        self.assertEqual(migrating_pod(render(own))["serviceAccountName"], "mine")

    def test_the_authority_of_the_database_is_mounted_for_both(self):
        objects = render(merged(SHARED, {"database": {"caSecretName": "ca", "caKey": "root.pem"}}))
        for spec in (pod(objects), migrating_pod(objects)):
            volume = next(v for v in spec["volumes"] if v["name"] == "database-ca")
            self.assertEqual(volume["secret"]["secretName"], "ca")
            self.assertEqual(volume["secret"]["items"], [{"key": "root.pem", "path": "root.pem"}])
            (container,) = spec["containers"]
            mount = next(m for m in container["volumeMounts"] if m["name"] == "database-ca")
            self.assertEqual((mount["mountPath"], mount["readOnly"]), ("/etc/portcullis/database", True))

    def test_a_drain_of_nodes_takes_one_at_a_time_and_does_not_wait_for_a_dead_one(self):
        spec = render(SHARED).one("PodDisruptionBudget")["spec"]
        self.assertEqual((spec["maxUnavailable"], spec["unhealthyPodEvictionPolicy"]), (1, "AlwaysAllow"))
        self.assertNotIn("minAvailable", spec)
        off = render(merged(SHARED, {"podDisruptionBudget": {"enabled": False}}))
        self.assertEqual(off.all("PodDisruptionBudget"), [])

    def test_replicas_are_spread_over_nodes_and_zones_as_asked(self):
        for nodes, key in [
            ("avoid", "preferredDuringSchedulingIgnoredDuringExecution"),
            ("refuse", "requiredDuringSchedulingIgnoredDuringExecution"),
        ]:
            affinity = pod(render(merged(SHARED, {"spread": {"nodes": nodes}})))["affinity"]["podAntiAffinity"]
            self.assertEqual(list(affinity), [key])
        for zones, what in [("avoid", "ScheduleAnyway"), ("refuse", "DoNotSchedule")]:
            objects = render(merged(SHARED, {"spread": {"zones": zones}}))
            (rule,) = pod(objects)["topologySpreadConstraints"]
            self.assertEqual((rule["topologyKey"], rule["whenUnsatisfiable"]), ("topology.kubernetes.io/zone", what))
            self.assertEqual(
                rule["labelSelector"]["matchLabels"], objects.workload()["spec"]["selector"]["matchLabels"]
            )
        plain = pod(render(merged(SHARED, {"spread": {"nodes": "allow", "zones": "allow"}})))
        self.assertFalse({"affinity", "topologySpreadConstraints"} & set(plain))

    def test_an_affinity_of_ones_own_goes_before_the_charts(self):
        mine = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}
        self.assertEqual(pod(render(merged(SHARED, {"affinity": mine})))["affinity"], mine)
        other = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}
        both = pod(render(merged(SHARED, {"affinity": other})))["affinity"]
        self.assertEqual(set(both), {"nodeAffinity", "podAntiAffinity"})

    def test_autoscaling_counts_cpu_and_leaves_the_number_to_itself(self):
        scaled = {"autoscaling": {"enabled": True, "minReplicas": 2, "maxReplicas": 5}}
        objects = render(merged(SHARED, scaled))
        self.assertNotIn("replicas", objects.workload()["spec"], "an upgrade would set it back")
        spec = objects.one("HorizontalPodAutoscaler")["spec"]
        self.assertEqual((spec["minReplicas"], spec["maxReplicas"]), (2, 5))
        self.assertEqual((spec["scaleTargetRef"]["kind"], spec["scaleTargetRef"]["name"]), ("Deployment", "demo-portcullis"))
        (metric,) = spec["metrics"]
        self.assertEqual(metric["resource"], {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}})
        for way in ("scaleUp", "scaleDown"):
            self.assertEqual([p["value"] for p in spec["behavior"][way]["policies"]], [1], "one at a time")
        self.assertEqual(render(SHARED).all("HorizontalPodAutoscaler"), [])

    def test_a_headless_service_leads_to_each_ready_replica(self):
        service = render(merged(SHARED, {"service": {"port": 443}})).one("Service", "-headless")["spec"]
        self.assertEqual(service["clusterIP"], "None")
        self.assertNotIn("publishNotReadyAddresses", service)
        self.assertEqual(service["ports"][0]["port"], 50051, "nothing translates ports in front of it")
        self.assertEqual(len(render(merged(SHARED, {"service": {"headless": False}})).all("Service")), 1)

    def test_a_replica_that_is_to_stop_goes_on_until_nobody_is_led_to_it(self):
        sleep = server(render(merged(SHARED, {"preStopSeconds": 7})))["lifecycle"]["preStop"]["sleep"]["seconds"]
        self.assertEqual(sleep, 7)
        self.assertNotIn("lifecycle", server(render(merged(SHARED, {"preStopSeconds": 0}))))

    def test_the_migrating_pod_has_nothing_that_it_does_not_need(self):
        objects = render(profile(CHART / "ci" / "postgresql-production-values.yaml"))
        (container,) = migrating_pod(objects)["containers"]
        self.assertFalse([n for n in env(container) if n.startswith("PORTCULLIS_SMTP")])
        self.assertFalse([m for m in container["volumeMounts"] if m["name"] in ("tls", "secrets-key")])

    def test_notes_say_how_the_first_admin_is_made_outside_the_cluster(self):
        text = notes(SHARED)
        self.assertIn("rollout status deployment/demo-portcullis", text)
        self.assertIn("portcullis bootstrap --out admin.json --endpoint https://demo-portcullis.keys.svc:50051", text)
        self.assertIn("dns:///demo-portcullis-headless.keys.svc:50051", text)
        self.assertNotIn("headless", notes(merged(SHARED, {"service": {"headless": False}})))
