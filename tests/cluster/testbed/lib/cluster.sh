# shellcheck shell=bash
# The Kubernetes processes, each with its own log and record. The order is COMPONENTS'.

COMPONENTS="etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy"

start_etcd() {
  local fsync=--unsafe-no-fsync # a test cluster's data is not worth waiting for a disk
  [ "${TESTBED_ETCD_FSYNC:-0}" = 0 ] || fsync=
  mkdir -p "$VAR/etcd"
  chmod 700 "$VAR/etcd"
  # shellcheck disable=SC2086 # an empty setting must vanish
  start etcd "$BIN/etcd" --name default --data-dir "$VAR/etcd" $fsync \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
    --initial-cluster default=http://127.0.0.1:2380 --quota-backend-bytes 2147483648
  wait_for 60 etcd "etcd answers" in_node curl -fs http://127.0.0.1:2379/health
}

start_kube-apiserver() {
  # shellcheck disable=SC2086 # extra flags are words
  start kube-apiserver "$BIN/kube-apiserver" --advertise-address="$NODE_IP" --bind-address=0.0.0.0 --secure-port=6443 \
    --etcd-servers=http://127.0.0.1:2379 --service-cluster-ip-range="$SVC_CIDR" --service-node-port-range=30000-32767 \
    --authorization-mode=Node,RBAC --allow-privileged=true --enable-admission-plugins=NodeRestriction \
    --client-ca-file="$PKI/ca.crt" --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" \
    --kubelet-client-certificate="$PKI/apiserver-kubelet-client.crt" --kubelet-client-key="$PKI/apiserver-kubelet-client.key" \
    --kubelet-certificate-authority="$PKI/ca.crt" --kubelet-preferred-address-types=InternalIP \
    --service-account-issuer="https://kubernetes.default.svc.$DOMAIN" \
    --service-account-key-file="$PKI/sa.pub" --service-account-signing-key-file="$PKI/sa.key" \
    --requestheader-client-ca-file="$PKI/ca.crt" --requestheader-allowed-names=front-proxy-client \
    --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
    --requestheader-extra-headers-prefix=X-Remote-Extra- \
    --proxy-client-cert-file="$PKI/front-proxy-client.crt" --proxy-client-key-file="$PKI/front-proxy-client.key" \
    --audit-policy-file="$ROOT/audit-policy.yaml" --audit-log-path="$LOG/audit.log" \
    --profiling=false --v=1 ${TESTBED_APISERVER_FLAGS:-}
  wait_for 120 kube-apiserver "the API server is ready" kc get --raw /readyz
}

# More requests a second and more workers than by default: tests make and delete many objects at once.
start_kube-controller-manager() {
  # shellcheck disable=SC2086 # extra flags are words
  start kube-controller-manager "$BIN/kube-controller-manager" \
    --kubeconfig="$PKI/kube-controller-manager.kubeconfig" \
    --authentication-kubeconfig="$PKI/kube-controller-manager.kubeconfig" \
    --authorization-kubeconfig="$PKI/kube-controller-manager.kubeconfig" \
    --service-account-private-key-file="$PKI/sa.key" --root-ca-file="$PKI/ca.crt" \
    --cluster-signing-cert-file="$PKI/ca.crt" --cluster-signing-key-file="$PKI/ca.key" \
    --use-service-account-credentials=true --leader-elect=false --bind-address=127.0.0.1 \
    --allocate-node-cidrs=false --service-cluster-ip-range="$SVC_CIDR" --cluster-name=testbed \
    --kube-api-qps=500 --kube-api-burst=1000 --concurrent-deployment-syncs=20 --concurrent-replicaset-syncs=20 \
    --concurrent-gc-syncs=30 --concurrent-endpoint-syncs=10 --concurrent-service-endpoint-syncs=10 \
    --concurrent-namespace-syncs=20 \
    --v=1 ${TESTBED_CONTROLLER_FLAGS:-}
}

start_kube-scheduler() {
  cat >"$CONF/scheduler.yaml" <<Y
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection: {leaderElect: false}
clientConnection: {kubeconfig: $PKI/kube-scheduler.kubeconfig, qps: 500, burst: 1000}
Y
  # shellcheck disable=SC2086 # extra flags are words
  start kube-scheduler "$BIN/kube-scheduler" --config="$CONF/scheduler.yaml" \
    --authentication-kubeconfig="$PKI/kube-scheduler.kubeconfig" \
    --authorization-kubeconfig="$PKI/kube-scheduler.kubeconfig" --bind-address=127.0.0.1 --v=1 ${TESTBED_SCHEDULER_FLAGS:-}
}

start_kubelet() {
  cat >"$CONF/kubelet.yaml" <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $NODE_IP
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $PKI/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $PKI/kubelet-server.crt
tlsPrivateKeyFile: $PKI/kubelet-server.key
containerRuntimeEndpoint: unix://$CRI_SOCK
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP
cgroupsPerQOS: true
enforceNodeAllocatable: []
failSwapOn: false
failCgroupV1: false
oomScoreAdj: 0
clusterDNS: [$DNS_IP]
clusterDomain: $DOMAIN
resolvConf: ""
maxPods: 250
registryPullQPS: 0
# an image that is deleted cannot be pulled again
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, nodefs.inodesFree: 1%, imagefs.available: 1%, imagefs.inodesFree: 1%}
volumePluginDir: /var/lib/kubelet/volume-plugins
staticPodPath: ""
rotateCertificates: false
shutdownGracePeriod: 0s
nodeStatusUpdateFrequency: 5s
Y
  # shellcheck disable=SC2086 # extra flags are words
  start kubelet "$BIN/kubelet" --config="$CONF/kubelet.yaml" --kubeconfig="$PKI/kubelet.kubeconfig" \
    --node-ip="$NODE_IP" --hostname-override="$NODE_NAME" --v=2 ${TESTBED_KUBELET_FLAGS:-}
}

start_kube-proxy() {
  cat >"$CONF/kube-proxy.yaml" <<Y
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: ${TESTBED_PROXY_MODE:-iptables}
clientConnection: {kubeconfig: $PKI/kube-proxy.kubeconfig}
hostnameOverride: $NODE_NAME
clusterCIDR: $POD_CIDR
bindAddress: 0.0.0.0
oomScoreAdj: 0
# not ours to set in a network namespace
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
Y
  start kube-proxy "$BIN/kube-proxy" --config="$CONF/kube-proxy.yaml" --v=2
}

mark() { say "$(printf '%5d ms  %s' $(($(now_ms) - UP_FROM)) "$1")"; }

cmd_up() {
  local c
  need_root
  lock
  if node_up && running kube-apiserver; then
    say "up already; testbed status shows it, testbed down ends it"
    return
  fi
  need_for_up
  UP_FROM=$(now_ms)
  cmd_build kube
  cmd_build coredns
  UP_FROM=$(now_ms)
  rm -f "$LOG"/*.log
  rm -rf "$PKI" "$VAR/etcd" # a new cluster each time
  node_start
  pki_make
  mark "the node's namespaces and certificates"
  containerd_start
  images_import "$(pause_archive)" "$(busybox_archive)"
  mark "containerd"
  for c in $COMPONENTS; do
    start_"$c"
    case $c in etcd | kube-apiserver) mark "$c" ;; esac
  done
  wait_for 120 kube-controller-manager "the default service account" kc -n default get serviceaccount default
  mark "service accounts"
  wait_for 120 kubelet "the node is Ready" kc wait --for=condition=Ready "node/$NODE_NAME" --timeout=1s
  mark "node Ready"
  coredns_up
  mark "DNS"
  say "KUBECONFIG=$ADMIN_KUBECONFIG"
}

cmd_down() {
  need_root
  lock
  if node_up; then
    stop coredns # first those that talk to the API server
    stop kube-proxy kubelet kube-scheduler kube-controller-manager
    stop kube-apiserver
    stop etcd containerd
  fi
  node_stop
  if grep -q " $TESTBED_STATE/" /proc/self/mountinfo; then
    die "something is still mounted under $TESTBED_STATE; nothing was deleted there"
  fi
  nothing_is_left
  rm -rf --one-file-system "${VAR:?}" "${PKI:?}" "${CONF:?}" "${RUN:?}"
  say "down"
}

# The promise of `down`, looked at: no interface, route, control group or process.
nothing_is_left() {
  local left=() h f
  [ ! -e "/sys/class/net/$HOST_IF" ] || left+=("the interface $HOST_IF")
  if ip -4 route show | grep -qF "$HOST_IF"; then left+=("routes by $HOST_IF"); fi
  for h in /sys/fs/cgroup /sys/fs/cgroup/*/; do [ ! -d "$h/$CGROUP" ] || left+=("the control group $h/$CGROUP"); done
  for f in /proc/[0-9]*/cmdline; do
    if { tr '\0' ' ' <"$f"; } 2>/dev/null | grep -qE "^[^ ]*(kube[a-z-]*|etcd|coredns|containerd[a-z0-9-]*|nsenter|unshare) .*$TESTBED_STATE/"; then
      left+=("process $(basename "$(dirname "$f")")")
    fi
  done
  [ ${#left[@]} = 0 ] || die "still there: $(printf '%s; ' "${left[@]}")"
}

cmd_component() { # start|stop|restart NAME
  local what=$1 name=${2:-}
  need_root
  lock
  need_node
  case " $COMPONENTS " in
    *" $name "*) ;;
    *) die "which component? one of: $COMPONENTS" ;;
  esac
  [ "$what" = start ] || stop "$name"
  [ "$what" = stop ] || start_"$name"
}

cmd_status() {
  local f n pid rss total=0
  if ! node_up; then
    say "down"
    return 1
  fi
  printf '%-26s %8s %10s\n' PROCESS PID 'RSS MiB'
  for f in "$RUN"/*.pid; do
    n=$(basename "$f" .pid)
    if pid=$(pid_of "$n"); then
      rss=$(awk '/^VmRSS/ {print int($2/1024)}' "/proc/$pid/status" 2>/dev/null) || rss=0
      total=$((total + ${rss:-0}))
      printf '%-26s %8s %10s\n' "$n" "$pid" "${rss:-0}"
    else
      printf '%-26s %8s %10s\n' "$n" ended -
    fi
  done
  printf '%-26s %8s %10s\n' total '' "$total"
  echo
  kc get nodes -o wide || true
  kc get pods -A || true
  echo
  echo "KUBECONFIG=$ADMIN_KUBECONFIG"
}
