"""The Dockerfile, as its own parser reads it, held against what it is to be: Cargo's program, as the chart's user, on the chart's port."""

import os
import pathlib
import re
import subprocess
import tomllib
import unittest

import dockerfile
from chart import BASE, CHART, DATA, ROOT, containers, merged, pod, profile, render, server

CARGO = tomllib.loads((ROOT / "Cargo.toml").read_text())
# What the final image has beside the program: its base is distroless `cc`, which is glibc with libgcc.
LIBRARIES = {"linux-vdso.so.1", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1", "libc.so.6", "libm.so.6", "libgcc_s.so.1"}


def stages():
    """The instructions of each stage, in order."""
    out = []
    for command in dockerfile.parse_file(str(ROOT / "Dockerfile")):
        if command.cmd.upper() == "FROM":
            out.append([])
        out[-1].append(command)
    return out


class Dockerfile(unittest.TestCase):
    def setUp(self):
        self.build, self.final = stages()

    def values(self, stage, name):
        return [list(command.value) for command in stage if command.cmd.upper() == name]

    def value(self, stage, name):
        (found,) = self.values(stage, name)
        return found

    def labels(self):
        words = self.value(self.final, "LABEL")
        return {name: text.strip('"') for name, text in zip(words[::2], words[1::2], strict=True)}

    def test_hadolint_finds_nothing(self):
        done = subprocess.run(
            [os.environ["HADOLINT"], "--no-color", "--failure-threshold", "style", ROOT / "Dockerfile"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_images_stand_by_an_exact_tag_or_a_digest(self):
        builder = self.value(self.build, "FROM")[0]
        version, debian = re.fullmatch(r"rust:(\d+\.\d+\.\d+)-slim-([a-z]+)(?:@sha256:[0-9a-f]{64})?", builder).groups()
        self.assertEqual(debian, "trixie")
        base = self.value(self.final, "FROM")[0]
        self.assertRegex(base, r"^gcr\.io/distroless/cc-debian13:nonroot(@sha256:[0-9a-f]{64})?$")
        least = CARGO["package"]["rust-version"]
        self.assertGreaterEqual(tuple(map(int, version.split("."))), tuple(map(int, least.split("."))))

    def test_what_is_built_is_the_locked_program_of_this_version(self):
        (run,) = self.values(self.build, "RUN")
        self.assertIn("cargo build --locked --release --bin portcullis", run[0])
        self.assertEqual(CARGO["package"]["default-run"], "portcullis")
        labels = self.labels()
        self.assertEqual(labels["org.opencontainers.image.version"], CARGO["package"]["version"])
        self.assertEqual(labels["org.opencontainers.image.licenses"], CARGO["package"]["license"])
        self.assertEqual(labels["org.opencontainers.image.description"], CARGO["package"]["description"])
        self.assertEqual(labels["org.opencontainers.image.base.name"], self.value(self.final, "FROM")[0].split("@")[0])

    def test_our_own_code_is_never_taken_from_the_cache(self):
        (run,) = self.values(self.build, "RUN")
        roots = re.search(r"touch (.*?)\s*\\?\s*&&", run[0], re.DOTALL)[1].split()
        for root in ("build.rs", "src/lib.rs", "src/main.rs", "migrations/src/lib.rs"):
            self.assertIn(root, roots)
            self.assertTrue((ROOT / root).exists(), root)

    def test_the_chart_runs_it_by_its_name_and_as_its_user(self):
        copies = self.values(self.final, "COPY")
        self.assertIn(["/out/portcullis", "/usr/local/bin/portcullis"], copies)
        self.assertEqual(self.value(self.final, "ENTRYPOINT"), ["portcullis"])
        objects = render(merged(BASE, {"bootstrap": {"enabled": True}}))
        for container in containers(objects):
            self.assertEqual(container["command"], self.value(self.final, "ENTRYPOINT"))
        context = pod(objects)["securityContext"]
        user = f"{context['runAsUser']}:{context['runAsGroup']}"
        self.assertEqual(self.value(self.final, "USER"), [user])
        owned = [c for c in self.final if c.cmd.upper() == "COPY" and DATA in c.value]
        self.assertEqual([c.flags for c in owned], [("--from=build", f"--chown={user}")])
        self.assertEqual(self.value(self.final, "EXPOSE"), [str(server(objects)["ports"][0]["containerPort"])])
        self.assertEqual(profile(CHART / "values.yaml")["image"]["repository"], "portcullis")

    def test_the_final_stage_runs_nothing_and_takes_no_more_than_is_named(self):
        allowed = {"FROM", "ARG", "LABEL", "COPY", "USER", "EXPOSE", "ENTRYPOINT", "CMD"}
        self.assertLessEqual({command.cmd.upper() for command in self.final}, allowed)
        self.assertEqual(self.values(self.final, "HEALTHCHECK"), [])
        for name in ("ENTRYPOINT", "CMD"):
            (command,) = [c for c in self.final if c.cmd.upper() == name]
            self.assertTrue(command.json, f"{name} as a text needs a shell, and there is none")

    def test_the_builder_gets_what_it_copies_and_nothing_else(self):
        lines = (ROOT / ".dockerignore").read_text().splitlines()
        rules = [line for line in lines if line and not line.startswith("#")]
        self.assertEqual(rules[0], "*")
        let_in = {rule.removeprefix("!") for rule in rules[1:]}
        copied = set()
        for command in self.build + self.final:
            if command.cmd.upper() == "COPY" and not any(flag.startswith("--from") for flag in command.flags):
                copied |= set(command.value[:-1])
        self.assertEqual(let_in, copied)
        for name in copied:
            self.assertTrue((ROOT / name).exists(), name)
        self.assertLessEqual({"Cargo.lock", "Cargo.toml", "build.rs", "proto", "src"}, copied)
        self.assertLessEqual(set(CARGO["workspace"]["members"]), copied)

    def test_the_program_needs_only_libraries_that_the_final_image_has(self):
        said = subprocess.run(["ldd", os.environ["PORTCULLIS"]], capture_output=True, text=True, check=True).stdout
        needed = {pathlib.Path(line.split()[0]).name for line in said.splitlines()}
        self.assertTrue(needed)
        self.assertLessEqual(needed, LIBRARIES)
