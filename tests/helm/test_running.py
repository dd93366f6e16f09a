"""Runs what the chart renders: each container's and probe's own command line, by the server itself.

Only what one machine cannot have is replaced: the mount paths by folders, and the pod's address by a port on loopback.
"""

import contextlib
import datetime
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from chart import BASE, DATA, merged, pod, render, server
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

TLS = "/etc/portcullis/tls"
HOST = "demo-portcullis.keys.svc"  # what the chart asks the certificate for
SECONDS = 60  # for anything at all


def write_certificate(folder):
    """A self-signed certificate, under the names that a TLS Secret has."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(minutes=5))
    builder = builder.not_valid_after(now + datetime.timedelta(hours=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    for file in ("tls.crt", "ca.crt"):
        (folder / file).write_bytes(pem)
    (folder / "tls.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Running(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.data, self.tls = (pathlib.Path(folder.name) / name for name in ("data", "tls"))
        self.data.mkdir()
        self.tls.mkdir()
        write_certificate(self.tls)
        self.port = free_port()
        self.objects = render(merged(BASE, {"bootstrap": {"enabled": True}}))
        self.container = server(self.objects)

    def here(self, command):
        """The command as this machine can run it."""
        self.assertEqual(command[0], "portcullis")
        replaced = [
            part.replace(DATA, str(self.data))
            .replace(TLS, str(self.tls))
            .replace("0.0.0.0:50051", f"127.0.0.1:{self.port}")
            .replace("https://127.0.0.1:50051", f"https://127.0.0.1:{self.port}")
            for part in command[1:]
        ]
        return [os.environ["PORTCULLIS"], *replaced]

    def env(self, container):
        return {item["name"]: item["value"] for item in container["env"]}

    def run_init(self, name):
        container = next(c for c in pod(self.objects)["initContainers"] if c["name"] == name)
        command = self.here(container["command"] + container["args"])
        done = subprocess.run(
            command, env=self.env(container), capture_output=True, text=True, timeout=SECONDS, check=False
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def probe(self, kind):
        """The exit code of a probe, with the container's environment, as exec probes have it."""
        command = self.here(self.container[f"{kind}Probe"]["exec"]["command"])
        return subprocess.run(
            command, env=self.env(self.container), capture_output=True, timeout=SECONDS, check=False
        ).returncode

    @contextlib.contextmanager
    def serving(self):
        command = self.here(self.container["command"] + self.container["args"])
        with tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen(command, env=self.env(self.container), stdout=log, stderr=log)
            try:
                until = time.monotonic() + SECONDS
                while self.probe("startup") != 0:
                    if process.poll() is not None or time.monotonic() > until:
                        log.seek(0)
                        self.fail(f"the server did not start: {log.read()}")
                    time.sleep(0.1)  # a probe's period
                yield process
            finally:
                process.kill()
                process.wait()

    def test_a_pod_from_first_start_to_stop(self):
        self.assertNotEqual(self.probe("startup"), 0, "nothing serves yet")
        self.run_init("migrate")
        self.run_init("bootstrap")
        admin = self.data / "admin.json"
        self.assertEqual(admin.stat().st_mode & 0o777, 0o600)
        self.assertEqual(json.loads(admin.read_text())["endpoint"], f"https://{HOST}:50051")

        with self.serving() as process:
            self.assertEqual(self.probe("liveness"), 0)
            self.assertEqual(self.probe("readiness"), 0)
            self.assertEqual(self.call_as(admin).returncode, 0)
            process.send_signal(signal.SIGTERM)
            grace = pod(self.objects)["terminationGracePeriodSeconds"]
            self.assertEqual(process.wait(timeout=grace), 0)
        self.assertNotEqual(self.probe("liveness"), 0, "it has stopped")

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

    def test_probes_refuse_a_certificate_of_another_authority(self):
        self.run_init("migrate")
        with self.serving():
            self.assertEqual(self.probe("liveness"), 0)
            write_certificate(self.tls)  # another key: ca.crt is no longer the server's
            self.assertNotEqual(self.probe("liveness"), 0)

    def call_as(self, credentials):
        command = [
            "portcullis", "call", "ApplicationService/ListApplications", "--credentials", str(credentials),
            "--endpoint", "https://127.0.0.1:50051", "--ca-cert", f"{TLS}/ca.crt", "--server-name", HOST,
        ]  # fmt: skip
        return subprocess.run(
            self.here(command), env={}, capture_output=True, text=True, timeout=SECONDS, check=False
        )
