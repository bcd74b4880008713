# shellcheck shell=bash
# Settings and small helpers, sourced by every part. Nothing here does anything by itself.
# shellcheck disable=SC2034 # the settings are used by the other parts

# A cluster is known by its number: it moves all addresses (10.N.0.0/16 to 10.(N+3).0.0/16), the interface, the
# control groups and the state, so that several clusters can run side by side when their numbers lie 4 apart.
NET=${TESTBED_NET:-123}
case $NET in
  [0-9] | [0-9][0-9] | 1[0-9][0-9] | 2[0-4][0-9]) ;;
  *)
    echo "testbed: error: TESTBED_NET must be a number from 0 to 249" >&2
    exit 1
    ;;
esac
TESTBED_CACHE=${TESTBED_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/headgate-testbed}
TESTBED_STATE=${TESTBED_STATE:-${XDG_STATE_HOME:-$HOME/.local/state}/headgate-testbed/$NET}


RUN=$TESTBED_STATE/run     # sockets, recorded processes
LOG=$TESTBED_STATE/log     # one file a process; kept after `down`, emptied by the next `up`
CONF=$TESTBED_STATE/conf   # configuration files written by `up` and by the add-ons
PKI=$TESTBED_STATE/pki     # certificates and kubeconfigs
VAR=$TESTBED_STATE/var     # what stands at /var/lib/... inside the node
BIN=$TESTBED_CACHE/current # links to the programs in use

HOST_IF=testbed$NET NODE_IF=node0
CGROUP=testbed$NET
HOST_IP=10.$NET.0.1 NODE_IP=10.$NET.0.2
POD_CIDR=10.$((NET + 1)).0.0/16 NODE_POD_CIDR=10.$((NET + 1)).0.0/24
SVC_CIDR=10.$((NET + 2)).0.0/16 API_SVC_IP=10.$((NET + 2)).0.1 DNS_IP=10.$((NET + 2)).0.10
NODE_NAME="node-1"
DOMAIN=cluster.local
CRI_SOCK=$RUN/containerd.sock
CNI_BIN=${TESTBED_CNI_BIN:-/usr/lib/cni}
IMAGE_PREFIX=testbed.local
ADMIN_KUBECONFIG=$PKI/admin.kubeconfig

say() { printf '%s\n' "testbed: $*" >&2; }
die() {
  say "error: $*"
  exit 1
}

# need COMMAND PACKAGE [WHAT FOR]
need() {
  command -v "$1" >/dev/null 2>&1 ||
    die "the command '$1' is missing${3:+ (needed for $3)}; on Debian: apt-get install $2"
}

need_root() { [ "$(id -u)" = 0 ] || die "this needs root (namespaces, mounts, interfaces)"; }

now_ms() { date +%s%3N; }

# A recorded process is its number and its start time, so that a number the kernel has
# given to somebody else is never mistaken for ours.
start_time_of() { # PID -> clock ticks since boot, nothing if there is no such process
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  stat=${stat##*) }
  # shellcheck disable=SC2086 # the split is wanted
  set -- $stat
  [ "${1:-}" = Z ] || echo "${20:-}"
}
record() { echo "$2 $(start_time_of "$2")" >"$RUN/$1.pid"; }
pid_of() { # NAME -> pid if it runs
  local pid since
  [ -f "$RUN/$1.pid" ] || return 1
  read -r pid since <"$RUN/$1.pid" || return 1
  [ -n "$since" ] && [ "$(start_time_of "$pid")" = "$since" ] || return 1
  echo "$pid"
}
running() { pid_of "$1" >/dev/null; }

node_up() { running node; }
need_node() { node_up || die "the testbed is not up; run: testbed up"; }

# Run a command inside the node. Not `ip netns exec`: that mounts /sys anew and hides the
# control groups from the kubelet.
in_node() {
  local pid
  pid=$(pid_of node) || die "the testbed is not up; run: testbed up"
  nsenter -t "$pid" -m -n -p -- "$@"
}

# start NAME COMMAND...: inside the node, detached, with a log and a record.
start() {
  local name=$1 node outer child
  shift
  running "$name" && die "$name runs already"
  node=$(pid_of node) || die "the testbed is not up; run: testbed up"
  setsid nsenter -t "$node" -m -n -p -- "$@" >"$LOG/$name.log" 2>&1 </dev/null 9>&- &
  outer=$! # nsenter itself; its only child is the process in the node
  for _ in $(seq 200); do
    child=$(cat "/proc/$outer/task/$outer/children" 2>/dev/null) || break
    child=${child%% *}
    if [ -n "$child" ]; then
      record "$name" "$child"
      return
    fi
    sleep 0.02
  done
  give_up "$name" "did not start"
}

# stop NAME...: ask, wait ten seconds, then force. By record only.
stop() {
  local name pid
  for name; do
    if pid=$(pid_of "$name"); then kill "$pid" 2>/dev/null || true; fi
  done
  for name; do
    for _ in $(seq 200); do
      running "$name" || break
      sleep 0.05
    done
    if pid=$(pid_of "$name"); then kill -9 "$pid" 2>/dev/null || true; fi
    rm -f "$RUN/$name.pid"
  done
}

give_up() { # NAME WHY
  say "the end of $LOG/$1.log:"
  tail -n 15 "$LOG/$1.log" 2>/dev/null | cut -c1-400 | sed 's/^/    /' >&2
  die "$1 $2"
}

# wait_for SECONDS NAME WHAT COMMAND...: until the command succeeds; gives up at once when
# the process NAME has ended ("-" for none).
wait_for() {
  local limit=$1 name=$2 what=$3 from
  shift 3
  from=$(now_ms)
  while ! "$@" >/dev/null 2>&1; do
    [ "$name" = - ] || running "$name" || give_up "$name" "ended before: $what"
    if [ $(($(now_ms) - from)) -gt $((limit * 1000)) ]; then
      [ "$name" = - ] && die "not within $limit s: $what"
      give_up "$name" "not within $limit s: $what"
    fi
    sleep 0.1
  done
}

kc() { "$BIN/kubectl" --kubeconfig "$ADMIN_KUBECONFIG" "$@"; }

# One testbed command at a time changes things.
lock() {
  mkdir -p "$TESTBED_STATE" "$RUN" "$LOG" "$CONF"
  exec 9>"$TESTBED_STATE/lock"
  flock -w "${TESTBED_LOCK_WAIT:-300}" 9 || die "another testbed command is still at work"
}

# The address of the Debian mirror this machine already uses.
debian_mirror() {
  local m=${TESTBED_DEBIAN_MIRROR:-}
  [ -n "$m" ] || m=$(cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null |
    awk '/^URIs:/ {print $2; exit} /^deb / {for (i = 2; i <= NF; i++) if ($i ~ /^[a-z+]+:/) {print $i; exit}}')
  [ -n "$m" ] || die "no Debian mirror found in apt's settings; set TESTBED_DEBIAN_MIRROR"
  echo "$m"
}

# apt_private DIR SUITE ARGS...: apt-get with lists, cache and status of its own, so that
# packages of another release are read without touching the machine's own apt.
apt_private() {
  local d=$1 suite=$2 key=/usr/share/keyrings/debian-archive-keyring.gpg
  shift 2
  [ -f "$key" ] || die "$key is missing; on Debian: apt-get install debian-archive-keyring"
  mkdir -p "$d/lists/partial" "$d/cache/archives/partial"
  [ -f "$d/status" ] || : >"$d/status"
  [ -f "$d/sources.list" ] || echo "deb [signed-by=$key] $(debian_mirror) $suite main" >"$d/sources.list"
  apt-get -o Dir::Etc::SourceList="$d/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$d/lists" -o Dir::Cache="$d/cache" -o Dir::State::status="$d/status" \
    -o APT::Install-Recommends=0 -o APT::Sandbox::User=root -o Debug::NoLocking=1 "$@"
}
