# shellcheck shell=bash
# What is tested. Each step is a function that runs with errexit on, in a subshell of its own.

STEPS=(fmt shell buf clippy clippy-client clippy-guards test test-postgres book deny sbom helm)
[[ -x tests/guards ]] && STEPS+=(guards)
STEPS+=(chaos)
FULL_STEPS=()
for program in tests/full.d/*; do
  [[ -f $program && -x $program ]] && FULL_STEPS+=("$program")
done

is_step() {
  local step
  for step in "${STEPS[@]}" ${FULL_STEPS[@]+"${FULL_STEPS[@]}"}; do
    [[ $step == "$1" ]] && return 0
  done
  return 1
}

run_step() {
  case $1 in
    tests/full.d/*) with_clients "$1" ;;
    *) "step_${1//-/_}" ;;
  esac
}

step_fmt() { cargo fmt --all --check; }

step_shell() {
  have_command shellcheck shellcheck >/dev/null || skip "no shellcheck, so no check of the shell scripts"
  local scripts
  scripts=$(grep -rlE --exclude-dir=__pycache__ '^#!.*\b(ba)?sh$|^# shellcheck shell=' tests .ci)
  xargs shellcheck --external-sources <<<"$scripts"
}

step_buf() {
  tool buf || skip "no buf, so no lint of the protos"
  "$BUF" lint proto
  "$BUF" format --diff --exit-code proto
}

step_clippy() {
  clippy --workspace
  # Not among all targets, since it is not of every run's tests: that it builds is seen here.
  cargo check --test soak --locked
  cargo clippy --test chaos --locked -- -D warnings
}
step_clippy_client() { clippy --no-default-features --features client; }
step_clippy_guards() { clippy --features guards-off; }

# Clippy only warns, whatever -D says, of a ban in clippy.toml whose path does not exist: such a ban bans nothing.
clippy() {
  cargo clippy "$@" --all-targets --locked -- -D warnings 2>&1 | tee "$RECORD/clippy"
  if grep -q -- '--> .*clippy.toml' "$RECORD/clippy"; then
    echo "clippy.toml names what does not exist"
    return 1
  fi
}

step_test() { with_collectors with_clients cargo test --workspace --locked; }

# As with clients: who reads what the program tells of itself.
with_collectors() {
  if tool promtool; then export PORTCULLIS_TEST_PROMTOOL=$BIN/promtool; else lack "no promtool, so no test of metrics and rules by it"; fi
  if tool collector; then export PORTCULLIS_TEST_COLLECTOR=$BIN/collector; else lack "no OpenTelemetry Collector, so no test that sends to it"; fi
  "$@"
}

# The same tests once more, on the other engine. Left out is what would only be repeated.
step_test_postgres() {
  postgresql || skip "no PostgreSQL 15 or newer, so no test on it"
  local skips=() module
  for module in "${SAME_ON_POSTGRES[@]}"; do skips+=(--skip "$module"); done
  PORTCULLIS_TEST_ENGINE=postgres with_clients cargo test --locked --test it -- "${skips[@]}"
}

# By the names of modules.
SAME_ON_POSTGRES=(
  sqlite:: # about the file and its engine, in whatever module
  ::sqlite_ # the same, of one test
  postgres_ # about PostgreSQL alone: they start it themselves in the step before, too
  dev:: # `portcullis dev` makes a file of its own, and so do the sessions that are with it
  documents::
  install::
  tutorial::
  audit_command::
  people:: # the same
  people_document::
  bench:: # and so does `portcullis bench`
  tls:: # about the program and its certificates, over a file that it is told of
)

step_guards() {
  network_namespaces
  with_clients tests/guards
}

# Each promise by itself, then twenty seconds of everything at once. One after the other, since what is measured is how long
# replicas wait. Longer, what takes minutes, and with an older program: chaos, outage and upgrade in tests/full.d.
step_chaos() {
  postgresql || skip "no PostgreSQL 15 or newer, so no replicas whose database fails"
  network_namespaces
  cargo test --locked --test chaos -- --skip random:: --skip for_a_minute
  cargo test --locked --test chaos -- --nocapture random::
}

# A replica in a network namespace: only root may have one, and then it is there. Elsewhere its tests say that they skip.
network_namespaces() {
  if [[ $(id -u) -ne 0 ]] || ! have_command ip iproute2 >/dev/null || ! unshare --net true; then
    echo "SKIPPED: faults of a real network, for which the proxies stand: no network namespace may be made here"
    echo "faults of a real network were not tried: no network namespace may be made here" >>"$RECORD/skips"
  fi
}

# Tells the tests where real clients are. A test without its client, or without the server that it needs, says that it skips,
# and fails in CI.
with_clients() {
  postgresql || lack "no PostgreSQL 15 or newer, so no test of several replicas"
  have_command script bsdutils >/dev/null || lack "no script of util-linux, so no test at a terminal"
  have_command jq jq >/dev/null || lack "no jq, so no session of the commands' document"
  if tool grpcurl; then export PORTCULLIS_TEST_GRPCURL=$BIN/grpcurl; else lack "no grpcurl, so no test that calls it"; fi
  if tool venv; then export PORTCULLIS_TEST_PYTHON=$VENV/bin/python; else lack "no Python clients, so no test that runs them"; fi
  "$@"
}

# That every page is in the book, its links and its blocks are held by `tests/docs.rs`; here it is built, and opened without a network.
step_book() {
  tool mdbook || skip "no mdbook, so the documents are not built into a book"
  local book=target/book/html page
  cargo run --locked --example book
  for page in index tutorial promises api command-line; do
    [[ -s $book/$page.html ]] || { echo "$book/$page.html is not there" && return 1; }
  done
  if grep -rnoE --include='*.html' '<(script|link|img|iframe)[^>]+(src|href)="(https?:)?//[^"]*"' "$book"; then
    echo "the book loads this from elsewhere"
    return 1
  fi
  # What was made rather than written: a method of each service, and flags of the program.
  grep -q 'href="api.html' "$book/callers.html"
  grep -q 'id="revokekey"' "$book/api.html"
  grep -q 'PORTCULLIS_LEASE' "$book/command-line.html"
}

step_deny() {
  tool cargo-deny || skip "no cargo-deny, so no check of licences, bans and sources"
  "$BIN/cargo-deny" --locked check bans licenses sources
  # The advisory database is a git repository, not a package: it may be out of reach where the registries are not.
  if timeout 120 "$BIN/cargo-deny" fetch db; then
    "$BIN/cargo-deny" --locked check advisories
  else
    echo "NOT CHECKED: known vulnerabilities (cargo deny check advisories), because their database cannot be fetched from here"
    echo "known vulnerabilities were not checked: their database cannot be fetched from here" >>"$RECORD/skips"
  fi
}

# What the program is made of, as CycloneDX: target/portcullis.cdx.json, which names every crate that cargo would build into it.
step_sbom() {
  tool cargo-cyclonedx || skip "no cargo-cyclonedx, so no list of what the program is made of"
  local target bill=target/portcullis.cdx.json
  target=$(rustc -vV | sed -n 's/^host: //p')
  PATH=$BIN:$PATH cargo cyclonedx --quiet --format json --spec-version 1.5 --describe binaries --no-build-deps --target "$target"
  mv portcullis_bin.cdx.json "$bill"
  cargo tree --locked --edges normal --prefix none --target "$target" --format '{p}' |
    sed 's/ (.*//; s/ v/@/' | sort -u >"$RECORD/built"
  grep -o '"purl": "pkg:cargo/[^"?#]*' "$bill" | sed 's|.*pkg:cargo/||' | sort -u >"$RECORD/billed"
  if comm -23 "$RECORD/built" "$RECORD/billed" | grep .; then
    echo "these are built into the program, and $bill does not name them"
    return 1
  fi
  echo "$bill names the $(grep -c . "$RECORD/built") crates that the program is made of"
}

step_helm() {
  tool helm || skip "no helm, so no test of the chart"
  tool kubeconform || skip "no kubeconform, so no test of the chart"
  tool crds || skip "no definitions of what Prometheus' operator adds, so no test of the chart"
  tool venv || skip "no Python packages, so no test of the chart"
  postgresql || lack "no PostgreSQL 15 or newer, so no test of the chart's replicas"
  # The chart's commands are run as they stand, by the server itself.
  cargo build --locked --bin portcullis
  HELM=$BIN/helm KUBECONFORM=$BIN/kubeconform CRDS=$CRDS HADOLINT=$VENV/bin/hadolint \
    PORTCULLIS=${CARGO_TARGET_DIR:-target}/debug/portcullis "$VENV/bin/python" -B tests/helm/check.py
}
