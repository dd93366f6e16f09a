# shellcheck shell=bash
# Installs tools by pinned version, each once: a stamp names the version that is there.

TOOLS=$PWD/target/tools
BIN=$TOOLS/bin
VENV=$TOOLS/venv
BUF=$TOOLS/npm/node_modules/.bin/buf
CRDS=$TOOLS/crds

CARGO_CYCLONEDX_VERSION=0.5.9
CARGO_DENY_VERSION=0.20.2
BUF_VERSION=1.75.0
GRPCURL_VERSION=v1.9.4
HELM_VERSION=v3.22.0
MDBOOK_VERSION=0.5.4
# Prometheus' own tool, as Debian has it: what reads /metrics in the field is rarely newer. Raised when it is to be fetched anew.
PROMTOOL_VERSION=debian-1
# The Kubernetes of helm's own client library; a helm built by `go install` would otherwise claim to be of 1.20.
HELM_KUBERNETES_MINOR=37
KUBECONFORM_VERSION=v0.8.0
# Whose module carries the definitions of ServiceMonitor and PrometheusRule.
PROMETHEUS_OPERATOR_VERSION=v0.85.0

# tool NAME: true when NAME is there or could be installed; otherwise says why not.
tool() {
  local name=$1 version program stamp start
  case $name in
    cargo-cyclonedx) version=$CARGO_CYCLONEDX_VERSION program=$BIN/cargo-cyclonedx ;;
    cargo-deny) version=$CARGO_DENY_VERSION program=$BIN/cargo-deny ;;
    buf) version=$BUF_VERSION program=$BUF ;;
    grpcurl) version=$GRPCURL_VERSION program=$BIN/grpcurl ;;
    helm) version=$HELM_VERSION program=$BIN/helm ;;
    mdbook) version=$MDBOOK_VERSION program=$BIN/mdbook ;;
    kubeconform) version=$KUBECONFORM_VERSION program=$BIN/kubeconform ;;
    crds) version=$PROMETHEUS_OPERATOR_VERSION program=$CRDS ;;
    promtool) version=$PROMTOOL_VERSION program=$BIN/promtool ;;
    collector) version=$(cat tests/telemetry/collector/* | cksum | tr ' ' '-') program=$BIN/collector ;;
    venv) version=$(cksum <tests/requirements.txt | tr ' ' '-') program=$VENV/bin/python ;;
    *) echo "no such tool: $name" && return 1 ;;
  esac
  stamp=$TOOLS/stamps/$name-$version
  [[ -e $stamp && -x $program ]] && return 0

  echo "installing $name $version"
  start=$SECONDS
  mkdir -p "$TOOLS/stamps" "$TOOLS/log" "$BIN"
  rm -f "$TOOLS/stamps/$name"-*
  if ! "install_${name//-/_}" >"$TOOLS/log/$name" 2>&1; then
    tail -n 20 "$TOOLS/log/$name"
    echo "$name could not be installed"
    return 1
  fi
  touch "$stamp"
  printf '%s\t%d\n' "$name" $((SECONDS - start)) >>"$RECORD/tools.tsv"
}

# Installers run inside a condition, where errexit is off: each is one chain.

install_cargo_cyclonedx() { cargo_install cargo-cyclonedx --version "$CARGO_CYCLONEDX_VERSION"; }

install_cargo_deny() { cargo_install cargo-deny --version "$CARGO_DENY_VERSION"; }

# It builds, and neither watches nor serves.
install_mdbook() { cargo_install mdbook --version "$MDBOOK_VERSION" --no-default-features --features search; }

# Unoptimised: a third of the build, and a check still takes seconds.
cargo_install() {
  cargo install "$@" --locked --debug --root "$TOOLS" --target-dir "$TOOLS/build" && rm -rf "$TOOLS/build"
}

install_buf() {
  have_command npm npm &&
    npm install --prefix "$TOOLS/npm" --no-save --no-package-lock --ignore-scripts --no-audit --no-fund \
      "@bufbuild/buf@$BUF_VERSION"
}

install_grpcurl() {
  go_install "github.com/fullstorydev/grpcurl/cmd/grpcurl@$GRPCURL_VERSION"
}

install_helm() {
  local at flags="-s -w"
  for at in pkg/chartutil pkg/lint/rules; do
    flags+=" -X helm.sh/helm/v3/$at.k8sVersionMajor=1 -X helm.sh/helm/v3/$at.k8sVersionMinor=$HELM_KUBERNETES_MINOR"
  done
  go_install -ldflags "$flags" "helm.sh/helm/v3/cmd/helm@$HELM_VERSION"
}

install_kubeconform() {
  go_install "github.com/yannh/kubeconform/cmd/kubeconform@$KUBECONFORM_VERSION"
}

# Of the module only two files are wanted, and nothing of it is built.
install_crds() {
  local module=github.com/prometheus-operator/prometheus-operator folder kind
  have_go && rm -rf "$CRDS" && mkdir -p "$CRDS" &&
    go mod download "$module@$PROMETHEUS_OPERATOR_VERSION" &&
    folder=$(go env GOMODCACHE)/$module@$PROMETHEUS_OPERATOR_VERSION/example/prometheus-operator-crd &&
    for kind in servicemonitors prometheusrules; do
      install -m 644 "$folder/monitoring.coreos.com_$kind.yaml" "$CRDS/" || return 1
    done
}

# The program alone, out of its package: nothing is installed on the system, and no server is started. Without Debian it is built,
# from the module that its maintainers publish.
install_promtool() {
  local at=$TOOLS/promtool
  rm -rf "$at" && mkdir -p "$at" &&
    if command -v apt-get && command -v dpkg-deb; then
      (cd "$at" && { apt-get download prometheus || { apt-get update && apt-get download prometheus; }; }) &&
        dpkg-deb --fsys-tarfile "$at"/prometheus_*.deb | tar -x -C "$at" ./usr/bin/promtool &&
        mv "$at/usr/bin/promtool" "$BIN/promtool"
    else
      go_install github.com/prometheus/prometheus/cmd/promtool@v0.305.0
    fi &&
    rm -rf "$at"
}

# OpenTelemetry's own Collector, with what the tests need of it: its maintainers publish the parts as Go modules.
install_collector() {
  command -v go || { echo "go is missing: install Go 1.26 or newer" && return 1; }
  (cd tests/telemetry/collector && go build -mod=readonly -trimpath -ldflags "-s -w" -o "$BIN/collector" .)
}

install_venv() {
  rm -rf "$VENV"
  have_command python3 python3 &&
    { python3 -m venv "$VENV" || { debian_package python3-venv && python3 -m venv "$VENV"; }; } &&
    "$VENV/bin/python" -m pip install --disable-pip-version-check --requirement tests/requirements.txt
}

# Debian's own Go is often too old for what is built here, so it is not tried.
go_install() {
  have_go || return 1
  GOBIN=$BIN go install "$@"
}

have_go() {
  command -v go || { echo "go is missing: install Go 1.21 or newer" && return 1; }
}

# postgresql: true when a PostgreSQL that the tests can start is there, or Debian's package brings it. The tests look in the same
# places (Debian keeps its programs out of the PATH), and start servers of their own: none is wanted at its usual port.
postgresql() {
  find_postgresql && return 0
  local settings=/etc/postgresql-common/createcluster.conf
  if [[ $(id -u) -eq 0 && ! -e $settings ]]; then
    mkdir -p "${settings%/*}" && echo "create_main_cluster = false" >"$settings"
  fi
  debian_package postgresql >/dev/null && find_postgresql
}

find_postgresql() {
  local bin version
  while read -r bin; do
    version=$("$bin/postgres" --version 2>/dev/null) || continue
    version=${version#* (PostgreSQL) }
    [[ -x $bin/initdb && -x $bin/pg_ctl && -x $bin/psql && ${version%%[!0-9]*} -ge 15 ]] && return 0
  done < <(tr : '\n' <<<"$PATH" && printf '%s\n' /usr/lib/postgresql/*/bin)
  return 1
}

# have_command COMMAND PACKAGE: true when COMMAND is there or Debian's PACKAGE brings it.
have_command() {
  command -v "$1" && return 0
  debian_package "$2" && command -v "$1"
}

debian_package() {
  if [[ $(id -u) -ne 0 ]] || ! command -v apt-get; then
    echo "$1 is missing: install Debian's package $1, or run as root where apt-get is"
    return 1
  fi
  local install=(apt-get install --yes --no-install-recommends "$1")
  export DEBIAN_FRONTEND=noninteractive
  "${install[@]}" || { apt-get update && "${install[@]}"; }
}
