# shellcheck shell=bash
# CoreDNS as a process in the node. A Service without selector and an EndpointSlice with the node's address give it the
# ClusterIP that the kubelet writes into every pod.

coredns_up() {
  cat >"$CONF/Corefile" <<C
.:53 {
  errors
  health 127.0.0.1:8181
  ready 127.0.0.1:8182
  kubernetes $DOMAIN in-addr.arpa ip6.arpa {
    kubeconfig $ADMIN_KUBECONFIG
    ttl 5
  }
  cache 5
  loadbalance
}
C
  cat >"$CONF/coredns.yaml" <<Y
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec:
  clusterIP: $DNS_IP
  ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kube-dns-node, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}
addressType: IPv4
endpoints: [{addresses: [$NODE_IP], conditions: {ready: true}}]
ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
Y
  kc apply --server-side --force-conflicts -f "$CONF/coredns.yaml" >/dev/null || die "the API server did not take $CONF/coredns.yaml"
  start coredns "$BIN/coredns" -conf "$CONF/Corefile"
  wait_for 60 coredns "CoreDNS is ready" in_node curl -fs http://127.0.0.1:8182/ready
}
