"""Runs the real helm over the chart and hands the result back as plain Python values."""

import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "portcullis"
PROFILES = sorted((CHART / "ci").glob("*.yaml"))
DATA = "/var/lib/portcullis"
# The least that is accepted of each profile; tests of one value start from here.
BASE = {"tls": {"secretName": "portcullis-tls"}}
SHARED = {**BASE, "database": {"engine": "postgresql", "secretName": "portcullis-database"}}
NOTES_AS_OBJECT = """apiVersion: v1
kind: ConfigMap
metadata: {name: notes}
data:
  notes: {{ tpl (.Files.Get "NOTES.txt") . | quote }}
"""
ALERTS = """groups:
  - name: portcullis
    rules:
      - alert: Example
        expr: up == 0
        annotations:
          summary: '{{ $labels.instance }} is away'
"""


class Objects(list):
    """What a release consists of, its hooks among it."""

    def all(self, kind):
        return [item for item in self if item["kind"] == kind]

    def one(self, kind, suffix=""):
        """The only one of its kind whose name is the release's with this suffix."""
        found = [item for item in self.all(kind) if item["metadata"]["name"] == f"demo-portcullis{suffix}"]
        if len(found) != 1:
            raise AssertionError(f"{len(found)} objects of kind {kind} with the suffix {suffix!r}")
        return found[0]

    def workload(self):
        (found,) = self.all("StatefulSet") + self.all("Deployment")
        return found

    def shared(self):
        """Whether it is many replicas on PostgreSQL."""
        return self.workload()["kind"] == "Deployment"


def helm(*args, values=None):
    """Runs helm with `values` as a values file; the caller looks at the exit code."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump({} if values is None else values, file)
        file.flush()
        command = [os.environ.get("HELM", "helm"), *map(str, args), "--values", file.name]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def template(values, *flags, chart=CHART, release="demo"):
    return helm("template", release, chart, "--namespace", "keys", *flags, values=values)


def render(values, **kwargs):
    done = template(values, **kwargs)
    if done.returncode != 0:
        raise AssertionError(f"helm refused {values}: {done.stderr}")
    objects = Objects(filter(None, yaml.safe_load_all(done.stdout)))
    names = [(item["kind"], item["metadata"]["name"]) for item in objects]
    if len(set(names)) != len(names):
        raise AssertionError(f"an object is there twice: {names}")
    return objects


def profile(path):
    return yaml.safe_load(path.read_text())


@contextlib.contextmanager
def copy_of_the_chart(files=None):
    """A copy that may be changed, with these files under `files`, and no others."""
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "portcullis"
        shutil.copytree(CHART, copy)
        shutil.rmtree(copy / "files", ignore_errors=True)
        for name, text in (files or {}).items():
            path = copy / "files" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        yield copy


def notes(values):
    """What `helm install` would print. `helm template` drops the notes, so a copy of the chart renders them as an object."""
    with copy_of_the_chart() as copy:
        (copy / "templates" / "NOTES.txt").rename(copy / "NOTES.txt")
        (copy / "templates" / "notes.yaml").write_text(NOTES_AS_OBJECT)
        objects = render(values, chart=copy)
        return next(item for item in objects if item["metadata"]["name"] == "notes")["data"]["notes"]


def merged(base, change):
    """`base` with `change` laid over it, as helm does with values files."""
    out = dict(base)
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = merged(out[key], value) if both else value
    return out


def value_leaves(values, prefix=""):
    """The dotted path and value of each leaf in values.yaml; what the README has as one row counts as one leaf."""
    for key, value in values.items():
        path = f"{prefix}{key}"
        whole = key in ("resources", "labels") or path.startswith("probes.")
        if isinstance(value, dict) and value and not whole:
            yield from value_leaves(value, f"{path}.")
        else:
            yield path, value


def documented():
    """The README's table: the path of each value and the text of its default."""
    return dict(re.findall(r"^\| `([A-Za-z.]+)` \| ([^|]*?) \|", (CHART / "README.md").read_text(), re.MULTILINE))


def pod(objects):
    """The pod that serves."""
    return objects.workload()["spec"]["template"]["spec"]


def migrating_pod(objects):
    return objects.one("Job", "-migrate")["spec"]["template"]["spec"]


def pods(objects):
    return [pod(objects)] + ([migrating_pod(objects)] if objects.shared() else [])


def server(objects):
    (container,) = pod(objects)["containers"]
    return container


def containers(objects):
    """All of them, the migrating ones first."""
    if objects.shared():
        return migrating_pod(objects)["containers"] + pod(objects)["containers"]
    return pod(objects)["initContainers"] + pod(objects)["containers"]


def env(container):
    """The environment, by name: a text, or where it comes from."""
    return {item["name"]: item.get("value", item.get("valueFrom")) for item in container["env"]}


def flag(command, name):
    return command[command.index(name) + 1] if name in command else None
