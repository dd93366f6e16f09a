"""A PostgreSQL of a test's own, in a folder that goes with it."""

import contextlib
import glob
import os
import pathlib
import pwd
import re
import subprocess
import tempfile

OLDEST = 15  # the first version that portcullis supports
OWNER, ROLE = "portcullis", "portcullis_serve"


def programs():
    """The folder of the newest one that is there, or None."""
    folders = [*os.environ.get("PATH", "").split(":"), *glob.glob("/usr/lib/postgresql/*/bin")]
    found = []
    for folder in filter(lambda folder: os.access(f"{folder}/initdb", os.X_OK), folders):
        said = subprocess.run([f"{folder}/postgres", "--version"], capture_output=True, text=True, check=False).stdout
        version = re.search(r" (\d+)", said)
        if version and int(version[1]) >= OLDEST:
            found.append((int(version[1]), os.path.dirname(os.path.realpath(f"{folder}/initdb"))))
    return max(found)[1] if found else None


class Server:
    def __init__(self, bin_, folder, port):
        self.bin, self.folder, self.port = bin_, folder, port
        # The server refuses to be root.
        self.user = pwd.getpwnam("postgres") if os.getuid() == 0 else None
        if self.user:
            os.chown(folder, self.user.pw_uid, self.user.pw_gid)

    def run(self, program, *args):
        identity = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if self.user else {}
        env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            [f"{self.bin}/{program}", *args], env=env, cwd=self.folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False, **identity,
        )  # fmt: skip
        if done.returncode != 0:
            raise AssertionError(f"{program}: {done.stdout}")
        return done.stdout

    def psql(self, sql, database="postgres"):
        flags = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        return self.run("psql", *flags, "-h", str(self.folder), "-p", str(self.port), "-d", database, "-c", sql).strip()

    def url(self, role, database):
        return f"postgres://{role}@127.0.0.1:{self.port}/{database}"


@contextlib.contextmanager
def running(port):
    """Started on loopback, with the two roles of docs/postgresql.md."""
    with tempfile.TemporaryDirectory(prefix="portcullis-pg-") as name:
        folder = pathlib.Path(name)
        server = Server(programs(), folder, port)
        data = str(folder / "data")
        server.run("initdb", "-D", data, "-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
        server.run("pg_ctl", "start", "-w", "-D", data, "-l", str(folder / "log"), "-o", options)
        try:
            for role in (OWNER, ROLE):
                server.psql(f"CREATE ROLE {role} LOGIN")
            yield server
        finally:
            server.run("pg_ctl", "stop", "-w", "-D", data, "-m", "immediate")
