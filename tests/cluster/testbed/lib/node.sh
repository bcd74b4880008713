# shellcheck shell=bash
# The "machine" the cluster runs on: mount, network and process namespaces on this
# computer's kernel and file system, with a veth pair to the outside.

# Places inside the node that must exist outside as mount points.
NODE_PLACES="/var/lib/kubelet /var/lib/containerd /var/lib/cni /etc/cni"
# The kubelet sets these for the whole computer; `down` puts them back.
NODE_SYSCTLS="vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes"

# What the clusters of this machine share: the first one notes how it was, the last one puts it back. A folder that one of
# them took away would be taken away under the others' nodes as well, with all that is mounted there.
MACHINE=/run/headgate-testbed

machine_prepare() {
  local d k
  mkdir -p "$MACHINE"
  exec 7>"$MACHINE.lock"
  flock 7
  # a start that was refused half way must not wipe what is still to be put back
  [ -s "$MACHINE/sysctl" ] || for k in $NODE_SYSCTLS; do
    [ ! -r "/proc/sys/${k//.//}" ] || echo "$k=$(sysctl -n "$k")"
  done >"$MACHINE/sysctl"
  for d in $NODE_PLACES; do
    if [ ! -d "$d" ]; then
      mkdir -p "$d"
      echo "$d" >>"$MACHINE/made"
    fi
  done
  : >"$MACHINE/cluster.$NET"
  exec 7>&-
}

machine_restore() {
  local d
  [ -d "$MACHINE" ] || return 0
  exec 7>"$MACHINE.lock"
  flock 7
  rm -f "$MACHINE/cluster.$NET"
  if ! compgen -G "$MACHINE/cluster.*" >/dev/null; then
    # shellcheck disable=SC2046 # one setting a word
    [ ! -s "$MACHINE/sysctl" ] || sysctl -qw $(cat "$MACHINE/sysctl")
    if [ -f "$MACHINE/made" ]; then
      while read -r d; do rmdir "$d" 2>/dev/null || true; done <"$MACHINE/made"
    fi
    rm -rf "$MACHINE" "$MACHINE.lock"
  fi
  exec 7>&-
}

node_start() {
  local outer child
  if [ -e "/sys/class/net/$HOST_IF" ]; then
    die "the interface $HOST_IF exists already: another testbed runs on this machine, or one ended badly (testbed down)"
  fi
  machine_prepare
  mkdir -p "$VAR"/{kubelet,containerd,cni,log} "$CONF/cni"
  cat >"$CONF/node-init.sh" <<I
set -eu
mount --make-rshared /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/netns /run/lock
for d in kubelet containerd cni; do mount --bind "$VAR/\$d" "/var/lib/\$d"; done
mount --bind "$VAR/log" /var/log
mount --bind "$CONF/cni" /etc/cni
mount --make-rshared /var/lib/kubelet
: >"$RUN/node.ready"
exec tini -g -- sleep infinity
I
  rm -f "$RUN/node.ready"
  setsid unshare --mount --net --pid --fork --mount-proc bash "$CONF/node-init.sh" >"$LOG/node.log" 2>&1 </dev/null 9>&- &
  outer=$!
  for _ in $(seq 200); do
    [ ! -f "$RUN/node.ready" ] || break
    [ -d "/proc/$outer" ] || give_up node "did not start"
    sleep 0.05
  done
  [ -f "$RUN/node.ready" ] || give_up node "did not start"
  child=$(cat "/proc/$outer/task/$outer/children")
  record node "${child%% *}"
  ip link add "$HOST_IF" type veth peer name "$NODE_IF" netns "${child%% *}"
  ip addr add "$HOST_IP/24" dev "$HOST_IF"
  ip link set "$HOST_IF" up
  cgroup_make
  in_node ip link set lo up
  in_node ip addr add "$NODE_IP/24" dev "$NODE_IF"
  in_node ip link set "$NODE_IF" up
  in_node ip route add default via "$HOST_IP" # some programs want one; nothing forwards there
  in_node sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.route_localnet=1
  in_node sysctl -qw net.bridge.bridge-nf-call-iptables=1 2>/dev/null || true
  # so that tests outside the node reach pods and ClusterIPs
  ip route replace "$POD_CIDR" via "$NODE_IP" dev "$HOST_IF"
  ip route replace "$SVC_CIDR" via "$NODE_IP" dev "$HOST_IF"
}

# The control group under which the kubelet makes those of the pods: one a cluster. The kubelet wants to find it in every
# hierarchy of version 1; runc adds it to the one of version 2 beside them.
cgroup_make() {
  local h
  [ ! -f /sys/fs/cgroup/cgroup.controllers ] || mkdir -p "/sys/fs/cgroup/$CGROUP"
  for h in /sys/fs/cgroup/*/; do [ ! -f "$h/tasks" ] || mkdir -p "$h/$CGROUP"; done
}
cgroup_remove() {
  local h
  for h in /sys/fs/cgroup /sys/fs/cgroup/*/; do
    [ -d "$h/$CGROUP" ] || continue
    find "$h/$CGROUP" -depth -type d -exec rmdir {} + 2>/dev/null || true
    [ ! -d "$h/$CGROUP" ] || die "processes are still in the control group $h/$CGROUP"
  done
}

# Ends every process of the node by ending its process 1, then takes away what is left
# outside of it.
node_stop() {
  local pid f
  if pid=$(pid_of node); then
    kill -9 "$pid"
    # An nsenter stops together with the process it started; stopped, it never takes the dead one away, and the
    # namespace with all that is in it stays.
    for f in /proc/[0-9]*; do
      if { tr '\0' ' ' <"$f/cmdline"; } 2>/dev/null | grep -q "^nsenter -t $pid "; then
        kill -9 "${f#/proc/}" 2>/dev/null || true
      fi
    done
    for _ in $(seq 200); do
      [ -d "/proc/$pid" ] || break
      sleep 0.05
    done
  fi
  for _ in $(seq 50); do # the kernel takes the pair away with the network namespace
    [ -e "/sys/class/net/$HOST_IF" ] || break
    sleep 0.05
  done
  [ ! -e "/sys/class/net/$HOST_IF" ] || ip link del "$HOST_IF"
  cgroup_remove
  machine_restore
  rm -f "$RUN"/*.pid "$RUN"/*.sock* "$RUN/node.ready"
}

containerd_start() {
  mkdir -p "$CONF/cni/net.d"
  cat >"$CONF/cni/net.d/10-testbed.conflist" <<J
{"cniVersion": "1.0.0", "name": "testbed", "plugins": [
 {"type": "bridge", "bridge": "cni0", "isGateway": true, "isDefaultGateway": true, "ipMasq": true, "hairpinMode": true,
  "ipam": {"type": "host-local", "ranges": [[{"subnet": "$NODE_POD_CIDR"}]], "dataDir": "/run/cni-ipam"}},
 {"type": "portmap", "capabilities": {"portMappings": true}, "snat": true}]}
J
  cat >"$CONF/containerd.toml" <<T
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = 0
[grpc]
  address = "$CRI_SOCK"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$IMAGE_PREFIX/pause:1"
  # without the right to lower an oom score every sandbox would fail
  restrict_oom_score_adj = true
  disable_apparmor = true
  tolerate_missing_hugetlb_controller = true
  disable_hugetlb_controller = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$CNI_BIN"
    conf_dir = "/etc/cni/net.d"
T
  rm -f "$CRI_SOCK"
  start containerd containerd -c "$CONF/containerd.toml"
  wait_for 60 containerd "containerd answers" ctr -a "$CRI_SOCK" version
  # where the kubelet's cAdvisor looks, without which its metrics have no container names
  in_node ln -sfn "$CRI_SOCK" /run/containerd/containerd.sock
}
