"""Runs what the chart renders: each container's and probe's own command line, by the server itself.

Only what one machine cannot have is replaced: the mount paths by folders, the pod's address by a port on loopback, and what
comes from a Secret by what a test says is in it.
"""

import contextlib
import datetime
import os
import pathlib
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.request

from chart import DATA
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

TLS = "/etc/portcullis/tls"
CLIENT_CA = "/etc/portcullis/client-ca"
HOST = "demo-portcullis.keys.svc"  # what the chart asks the certificate for
SECONDS = 60  # for anything at all


def self_signed(called, extension):
    """A key, and its certificate as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, called)])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(minutes=5))
    builder = builder.not_valid_after(now + datetime.timedelta(hours=1))
    builder = builder.add_extension(extension, critical=True)
    return key, builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def write_certificate(folder):
    """A self-signed certificate, under the names that a TLS Secret has."""
    key, pem = self_signed(HOST, x509.SubjectAlternativeName([x509.DNSName(HOST)]))
    for file in ("tls.crt", "ca.crt"):
        (folder / file).write_bytes(pem)
    (folder / "tls.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def write_authority(folder):
    """One that signs certificates of clients, under the name that the chart asks for."""
    _, pem = self_signed("clients", x509.BasicConstraints(ca=True, path_length=0))
    (folder / "ca.crt").write_bytes(pem)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Machine(unittest.TestCase):
    """What a node is to the pods of a release."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.data, self.tls, self.clients = (pathlib.Path(folder.name) / name for name in ("data", "tls", "clients"))
        for made in (self.data, self.tls, self.clients):
            made.mkdir()
        write_certificate(self.tls)
        write_authority(self.clients)
        self.secrets = {}

    def here(self, command, port):
        """The command as this machine can run it."""
        self.assertEqual(command[0], "portcullis")
        replaced = [
            part.replace(DATA, str(self.data))
            .replace(TLS, str(self.tls))
            .replace(CLIENT_CA, str(self.clients))
            .replace("0.0.0.0:50051", f"127.0.0.1:{port}")
            .replace("0.0.0.0:", "127.0.0.1:")
            .replace("https://127.0.0.1:50051", f"https://127.0.0.1:{port}")
            for part in command[1:]
        ]
        return [os.environ["PORTCULLIS"], *replaced]

    def env(self, container):
        out = {}
        for item in container["env"]:
            if "value" in item:
                out[item["name"]] = item["value"]
            else:
                reference = item["valueFrom"]["secretKeyRef"]
                out[item["name"]] = self.secrets[reference["name"], reference["key"]]
        return out

    def run_to_the_end(self, command, env, port=0):
        return subprocess.run(
            self.here(command, port), env=env, capture_output=True, text=True, timeout=SECONDS, check=False
        )

    def run_container(self, container):
        return self.run_to_the_end(container["command"] + container["args"], self.env(container))

    def probe(self, container, kind, port):
        """0 if the probe is content: with the container's environment, as exec probes have it, or by HTTP."""
        get = container[f"{kind}Probe"].get("httpGet")
        if get:
            (asked,) = [p["containerPort"] for p in container["ports"] if p["name"] == get["port"]]
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{asked}{get['path']}", timeout=SECONDS) as answer:
                    return 0 if 200 <= answer.status < 400 else 1
            except OSError:
                return 1
        return self.run_to_the_end(container[f"{kind}Probe"]["exec"]["command"], self.env(container), port).returncode

    @contextlib.contextmanager
    def serving(self, container, port):
        command = self.here(container["command"] + container["args"], port)
        with tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen(command, env=self.env(container), stdout=log, stderr=log)
            try:
                until = time.monotonic() + SECONDS
                while self.probe(container, "startup", port) != 0:
                    if process.poll() is not None or time.monotonic() > until:
                        log.seek(0)
                        self.fail(f"the server did not start: {log.read()}")
                    time.sleep(0.1)  # a probe's period
                yield process
            finally:
                process.kill()
                process.wait()

    def call_as(self, credentials, port):
        command = [
            "portcullis", "call", "ApplicationService/ListApplications", "--credentials", str(credentials),
            "--endpoint", "https://127.0.0.1:50051", "--ca-cert", f"{TLS}/ca.crt", "--server-name", HOST,
        ]  # fmt: skip
        return self.run_to_the_end(command, {}, port).returncode
