"""Runs the real helm over the chart and hands the result back as plain Python values."""

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
# The least that is accepted; tests of one value start from here.
BASE = {"tls": {"secretName": "portcullis-tls"}}
NOTES_AS_OBJECT = """apiVersion: v1
kind: ConfigMap
metadata: {name: notes}
data:
  notes: {{ tpl (.Files.Get "NOTES.txt") . | quote }}
"""


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
    """The rendered objects by kind."""
    done = template(values, **kwargs)
    if done.returncode != 0:
        raise AssertionError(f"helm refused {values}: {done.stderr}")
    objects = {}
    for item in filter(None, yaml.safe_load_all(done.stdout)):
        if item["kind"] in objects:
            raise AssertionError(f"two objects of kind {item['kind']}")
        objects[item["kind"]] = item
    return objects


def profile(path):
    return yaml.safe_load(path.read_text())


def notes(values):
    """What `helm install` would print. `helm template` drops the notes, so a copy of the chart renders them as an object."""
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "portcullis"
        shutil.copytree(CHART, copy)
        (copy / "templates" / "NOTES.txt").rename(copy / "NOTES.txt")
        (copy / "templates" / "notes.yaml").write_text(NOTES_AS_OBJECT)
        return render(values, chart=copy)["ConfigMap"]["data"]["notes"]


def merged(base, change):
    """`base` with `change` laid over it, as helm does with values files."""
    out = dict(base)
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = merged(out[key], value) if both else value
    return out


def value_leaves(values, prefix=""):
    """The dotted path and value of each leaf in values.yaml; a probe counts as one leaf, as it does in the README."""
    for key, value in values.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and value and key != "resources" and not path.startswith("probes."):
            yield from value_leaves(value, f"{path}.")
        else:
            yield path, value


def documented():
    """The README's table: the path of each value and the text of its default."""
    return dict(re.findall(r"^\| `([A-Za-z.]+)` \| ([^|]*?) \|", (CHART / "README.md").read_text(), re.MULTILINE))


def pod(objects):
    return objects["StatefulSet"]["spec"]["template"]["spec"]


def server(objects):
    (container,) = pod(objects)["containers"]
    return container


def containers(objects):
    return pod(objects)["initContainers"] + pod(objects)["containers"]


def flag(command, name):
    return command[command.index(name) + 1] if name in command else None
