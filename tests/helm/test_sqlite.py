"""What is only of the profile with one replica and its database on a volume."""

import unittest

from chart import BASE, DATA, containers, flag, merged, notes, pod, render


class OneReplica(unittest.TestCase):
    def test_it_is_one_pod_in_a_stateful_set_and_nothing_that_is_for_many(self):
        objects = render(BASE)
        self.assertEqual(sorted(item["kind"] for item in objects), ["Service", "ServiceAccount", "StatefulSet"])
        spec = objects.workload()["spec"]
        self.assertEqual(spec["replicas"], 1)
        self.assertEqual(spec["serviceName"], objects.one("Service")["metadata"]["name"])

    def test_every_container_uses_the_database_on_the_volume(self):
        objects = render(merged(BASE, {"bootstrap": {"enabled": True}}))
        (claim,) = objects.workload()["spec"]["volumeClaimTemplates"]
        for container in containers(objects):
            self.assertEqual(flag(container["args"], "--database-url"), f"sqlite://{DATA}/portcullis.db")
            mounts = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
            self.assertEqual(mounts[claim["metadata"]["name"]], DATA)

    def test_bootstrap_runs_after_migrate_only_when_asked(self):
        names = [c["name"] for c in pod(render(BASE))["initContainers"]]
        self.assertEqual(names, ["migrate"])
        init = pod(render(merged(BASE, {"bootstrap": {"enabled": True}})))["initContainers"]
        self.assertEqual([c["name"] for c in init], ["migrate", "bootstrap"])
        self.assertEqual(flag(init[1]["args"], "--out"), f"{DATA}/admin.json")
        self.assertEqual(flag(init[1]["args"], "--endpoint"), "https://demo-portcullis.keys.svc:50051")
        self.assertIn("--if-needed", init[1]["args"])

    def test_notes_say_how_to_get_the_first_admin(self):
        asked = notes(merged(BASE, {"bootstrap": {"enabled": True}}))
        path = f"/proc/1/root{DATA}/admin.json"
        self.assertIn("kubectl -n keys debug demo-portcullis-0 --image=", asked)
        self.assertIn(f"-c files -- cat {path} >admin.json", asked)
        self.assertIn(f"-- rm {path}", asked)
        self.assertIn("--set bootstrap.enabled=true", notes(BASE))
