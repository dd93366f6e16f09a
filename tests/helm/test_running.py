"""The profile with one replica, run."""

import json
import signal
import time

from chart import BASE, merged, pod, render, server
from running import HOST, SECONDS, Machine, free_port, write_certificate


class OnePod(Machine):
    def setUp(self):
        super().setUp()
        self.port = free_port()
        self.objects = render(merged(BASE, {"bootstrap": {"enabled": True}}))
        self.container = server(self.objects)

    def run_init(self, name):
        done = self.run_container(next(c for c in pod(self.objects)["initContainers"] if c["name"] == name))
        self.assertEqual(done.returncode, 0, done.stderr)

    def probed(self, kind):
        return self.probe(self.container, kind, self.port)

    def test_a_pod_from_first_start_to_stop(self):
        self.assertNotEqual(self.probed("startup"), 0, "nothing serves yet")
        self.run_init("migrate")
        self.run_init("bootstrap")
        admin = self.data / "admin.json"
        self.assertEqual(admin.stat().st_mode & 0o777, 0o600)
        self.assertEqual(json.loads(admin.read_text())["endpoint"], f"https://{HOST}:50051")

        with self.serving(self.container, self.port) as process:
            self.assertEqual(self.probed("liveness"), 0)
            self.assertEqual(self.probed("readiness"), 0)
            self.assertEqual(self.call_as(admin, self.port), 0)
            process.send_signal(signal.SIGTERM)
            grace = pod(self.objects)["terminationGracePeriodSeconds"]
            self.assertEqual(process.wait(timeout=grace), 0)
        self.assertNotEqual(self.probed("liveness"), 0, "it has stopped")

    def test_a_second_start_makes_no_second_admin(self):
        self.run_init("migrate")
        self.run_init("bootstrap")
        admin = self.data / "admin.json"
        first = admin.read_bytes()
        self.run_init("migrate")
        self.run_init("bootstrap")
        self.assertEqual(admin.read_bytes(), first)
        admin.unlink()  # as the notes say
        self.run_init("bootstrap")
        self.assertFalse(admin.exists())

    def test_with_the_admin_port_probes_ask_there(self):
        self.container = server(render(merged(BASE, {"admin": {"enabled": True, "port": free_port()}})))
        self.run_init("migrate")
        with self.serving(self.container, self.port) as process:
            self.assertEqual(self.probed("liveness"), 0)
            until = time.monotonic() + SECONDS
            while self.probed("readiness") != 0:
                self.assertLess(time.monotonic(), until, "it is never ready")
                time.sleep(0.1)  # a probe's period
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(timeout=SECONDS), 0)
        self.assertNotEqual(self.probed("liveness"), 0, "it has stopped")

    def test_a_server_that_wants_certificates_of_clients_is_alive_for_its_probes(self):
        values = {"clientCa": {"configMapName": "clients"}, "requireClientCert": True}
        change = {"tls": values, "admin": {"enabled": True, "port": free_port()}, "bootstrap": {"enabled": True}}
        self.objects = render(merged(BASE, change))
        self.container = server(self.objects)
        self.run_init("migrate")
        self.run_init("bootstrap")
        with self.serving(self.container, self.port):
            self.assertEqual(self.probed("liveness"), 0)
            until = time.monotonic() + SECONDS
            while self.probed("readiness") != 0:
                self.assertLess(time.monotonic(), until, "it is never ready")
                time.sleep(0.1)  # a probe's period
            self.assertNotEqual(self.call_as(self.data / "admin.json", self.port), 0, "it has no certificate")

    def test_probes_refuse_a_certificate_of_another_authority(self):
        self.run_init("migrate")
        with self.serving(self.container, self.port):
            self.assertEqual(self.probed("liveness"), 0)
            write_certificate(self.tls)  # another key: ca.crt is no longer the server's
            self.assertNotEqual(self.probed("liveness"), 0)
