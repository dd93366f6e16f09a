"""The profile with many replicas, run: the Job, then two of the Deployment's pods on one PostgreSQL."""

import contextlib
import json
import os
import signal
import unittest

import postgres
from chart import SHARED, merged, migrating_pod, pod, render, server
from running import Machine, free_port

GRANTS = """
GRANT USAGE ON SCHEMA public TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
GRANT pg_read_all_stats TO {role};
"""


@unittest.skipUnless(postgres.programs() or os.environ.get("CI") == "true", "no PostgreSQL 15 or newer")
class ManyPods(Machine):
    @classmethod
    def setUpClass(cls):
        cls.database = cls.enterClassContext(postgres.running(free_port()))

    def setUp(self):
        super().setUp()
        name = f"t{free_port()}"
        self.database.psql(f"CREATE DATABASE {name} OWNER {postgres.OWNER}")
        self.name = name
        self.secrets["owner", "url"] = self.database.url(postgres.OWNER, name)
        self.secrets["portcullis-database", "url"] = self.database.url(postgres.ROLE, name)
        self.objects = render(merged(SHARED, {"replicaCount": 2, "migration": {"secretName": "owner"}}))
        self.container = server(self.objects)

    def serve_once(self):
        command = self.container["command"] + self.container["args"]
        return self.run_to_the_end(command, self.env(self.container), free_port())

    def migrate(self):
        """The Job, and then what a superuser grants once, by docs/postgresql.md."""
        done = self.run_container(migrating_pod(self.objects)["containers"][0])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.database.psql(GRANTS.format(role=postgres.ROLE), self.name)
        return done.stdout

    def test_two_replicas_from_the_job_to_the_last_stop(self):
        self.assertIn("applied", self.migrate())
        self.assertIn("nothing to migrate", self.migrate(), "before each upgrade it runs again")
        admin = self.bootstrap()
        ports = [free_port(), free_port()]
        with contextlib.ExitStack() as stack:
            replicas = [stack.enter_context(self.serving(self.container, port)) for port in ports]
            for port in ports:
                self.assertEqual(self.probe(self.container, "liveness", port), 0)
                self.assertEqual(self.probe(self.container, "readiness", port), 0)
                self.assertEqual(self.call_as(admin, port), 0)
            self.assertEqual(self.database.psql("SELECT count(*) FROM replica", self.name), "2")

            replicas[0].send_signal(signal.SIGTERM)
            grace = pod(self.objects)["terminationGracePeriodSeconds"]
            self.assertEqual(replicas[0].wait(timeout=grace), 0)
            self.assertEqual(self.probe(self.container, "readiness", ports[1]), 0)
            self.assertEqual(self.call_as(admin, ports[1]), 0)

    def test_a_replica_before_the_job_says_what_is_missing_and_ends(self):
        done = self.serve_once()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("portcullis migrate", done.stderr)

    def test_a_replica_before_its_grants_ends(self):
        done = self.run_container(migrating_pod(self.objects)["containers"][0])
        self.assertEqual(done.returncode, 0, done.stderr)
        done = self.serve_once()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("let this role use what it has made", done.stderr)

    def test_without_the_database_the_job_fails_and_shows_no_password(self):
        self.secrets["owner", "url"] = f"postgres://portcullis:hunter2@127.0.0.1:{free_port()}/keys"
        done = self.run_container(migrating_pod(self.objects)["containers"][0])
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn("hunter2", done.stdout + done.stderr)

    def test_the_role_that_serves_cannot_migrate_but_may_hear_that_there_is_nothing_to_do(self):
        owner = self.secrets["owner", "url"]
        job = migrating_pod(self.objects)["containers"][0]
        self.secrets["owner", "url"] = self.secrets["portcullis-database", "url"]
        done = self.run_container(job)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("owner", done.stderr)
        self.secrets["owner", "url"] = owner
        self.migrate()
        self.secrets["owner", "url"] = self.secrets["portcullis-database", "url"]
        done = self.run_container(job)
        self.assertEqual(done.returncode, 0, done.stderr)

    def bootstrap(self):
        """As the notes say."""
        admin = self.data / "admin.json"
        endpoint = "https://demo-portcullis.keys.svc:50051"
        command = ["portcullis", "bootstrap", "--out", str(admin), "--endpoint", endpoint]
        done = self.run_to_the_end(command, {"PORTCULLIS_DATABASE_URL": self.secrets["portcullis-database", "url"]})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(admin.read_text())["endpoint"], endpoint)
        return admin
