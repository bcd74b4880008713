# shellcheck shell=bash
# Images without a registry: made here, imported into containerd.

image_arch() { case $(uname -m) in x86_64) echo amd64 ;; aarch64) echo arm64 ;; *) uname -m ;; esac; }

pause_archive() { echo "$TESTBED_CACHE/images/pause-$(sha256sum "$ROOT/images/pause.c" | cut -c1-12).tar"; }
busybox_archive() { echo "$TESTBED_CACHE/images/busybox.tar"; }

# The sandbox image every pod needs, and a small one with a shell and the usual tools.
make_small_images() {
  local tmp applet pause busybox
  pause=$(pause_archive)
  busybox=$(busybox_archive)
  mkdir -p "$TESTBED_CACHE/images"
  if [ ! -f "$pause" ]; then
    need gcc "gcc libc6-dev" "the sandbox image"
    tmp=$(mktemp -d)
    gcc -Os -static -s -o "$tmp/pause" "$ROOT/images/pause.c" || die "pause.c did not compile; on Debian: apt-get install libc6-dev"
    python3 "$ROOT/images/mkimage.py" "$pause.new" "$IMAGE_PREFIX/pause:1" --arch "$(image_arch)" \
      --layer "$tmp" --entrypoint '["/pause"]' >/dev/null
    mv "$pause.new" "$pause"
    rm -rf "$tmp"
  fi
  if [ ! -f "$busybox" ]; then
    need busybox busybox-static "the busybox image"
    tmp=$(mktemp -d)
    mkdir -p "$tmp"/{bin,tmp,etc,proc,sys,dev,www}
    cp "$(command -v busybox)" "$tmp/bin/busybox"
    for applet in $(busybox --list); do [ "$applet" = busybox ] || ln -sf busybox "$tmp/bin/$applet"; done
    echo 'root:x:0:0:root:/:/bin/sh' >"$tmp/etc/passwd"
    python3 "$ROOT/images/mkimage.py" "$busybox.new" "$IMAGE_PREFIX/busybox:1" --arch "$(image_arch)" \
      --layer "$tmp" --cmd '["sh"]' >/dev/null
    mv "$busybox.new" "$busybox"
    rm -rf "$tmp"
  fi
}

images_import() {
  local f
  for f; do
    [ -f "$f" ] || die "no image archive at $f"
    ctr -a "$CRI_SOCK" -n k8s.io images import "$f" >/dev/null || die "containerd did not take $f"
  done
}

# What the Python base image holds: with venv and a shell, and the C++ library that compiled Python packages need.
base_packages() { echo "python$1-venv libstdc++6 busybox-static ca-certificates netbase tzdata"; }
base_tag() { echo "$2-$(base_packages "$2" | cat - <(echo "$1") | sha256sum | cut -c1-8)"; } # SUITE PYTHON

# A Python base image of Debian packages, unpacked and not configured: seconds.
images_base() {
  local suite=${1:-trixie} py=${2:-3.13} out d r f a
  out=$TESTBED_CACHE/images/python-base-$(base_tag "$suite" "$py").tar
  if [ ! -f "$out" ]; then
    need apt-get apt "the base image"
    say "base image: Python $py from Debian $suite"
    d=$(mktemp -d)
    r=$d/root
    apt_private "$d" "$suite" -qq update || die "apt could not read the package lists of $suite"
    # shellcheck disable=SC2046 # one package a word
    apt_private "$d" "$suite" -qq -y --download-only install $(base_packages "$py") >/dev/null ||
      die "apt could not fetch the packages of the base image"
    mkdir -p "$r"/usr/{bin,sbin,lib,lib64} "$TESTBED_CACHE/images"
    for a in bin sbin lib lib64; do ln -s "usr/$a" "$r/$a"; done
    for f in "$d"/cache/archives/*.deb; do dpkg-deb --fsys-tarfile "$f" | tar -x -C "$r" --keep-directory-symlink; done
    rm -rf "$r"/usr/share/{doc,man,locale,info,lintian,bug,perl*} "$r"/usr/lib/*/perl* "$r"/usr/lib/*/gconv \
      "$r/var/lib/dpkg" "$r/usr/lib/systemd"
    find "$r"/usr/lib/python3* -name test -type d -prune -exec rm -rf {} +
    ln -sf "python$py" "$r/usr/bin/python3"
    ln -sf python3 "$r/usr/bin/python"
    for a in $("$r/usr/bin/busybox" --list); do [ -e "$r/usr/bin/$a" ] || ln -s busybox "$r/usr/bin/$a"; done
    mkdir -p "$r"/{tmp,root,proc,sys,dev,run,home,etc/ssl/certs,var/tmp}
    chmod 1777 "$r/tmp" "$r/var/tmp"
    printf '%s\n' root:x:0:0:root:/root:/bin/sh nobody:x:65534:65534:nobody:/nonexistent:/bin/false app:x:65532:65532:app:/home:/bin/sh >"$r/etc/passwd"
    printf '%s\n' root:x:0: nogroup:x:65534: app:x:65532: >"$r/etc/group"
    echo 'hosts: files dns' >"$r/etc/nsswitch.conf"
    find "$r/usr/share/ca-certificates" -name '*.crt' -exec cat {} + >"$r/etc/ssl/certs/ca-certificates.crt"
    python3 "$ROOT/images/mkimage.py" "$out.new" "$IMAGE_PREFIX/python-base:$(base_tag "$suite" "$py")" --arch "$(image_arch)" --layer "$r" --cmd '["python3"]' >/dev/null
    mv "$out.new" "$out"
    rm -rf "$d"
  fi
  echo "$out"
}

builder() {
  buildah --root "$TESTBED_CACHE/buildah/store" --runroot "$TESTBED_CACHE/buildah/run" --storage-driver overlay "$@"
}

# images build NAME:TAG FOLDER [buildah arguments]: from the Dockerfile in FOLDER, without
# pulling; BASE is the base image above. Imported at once when the testbed is up.
images_build() {
  local name=$1 dir=$2 base ref ca out
  local -a more=()
  shift 2
  need buildah buildah "building images"
  case $name in */*:*) ;; *) die "an image needs a name with a host part and a tag, such as $IMAGE_PREFIX/app:1" ;; esac
  [ -f "$dir/Dockerfile" ] || [[ " $* " == *" -f "* ]] || die "no Dockerfile in $dir"
  base=$(images_base)
  ref=$IMAGE_PREFIX/python-base:$(base_tag trixie 3.13)
  mkdir -p "$TESTBED_CACHE/buildah" "$TESTBED_STATE/images"
  builder inspect --type image "$ref" >/dev/null 2>&1 || builder pull -q "oci-archive:$base" >/dev/null || die "buildah did not take $base"
  ca=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
  if [ -f "$ca" ]; then
    more+=(--volume "$ca:/run/host-ca.crt:ro" --build-arg PIP_CERT=/run/host-ca.crt)
  fi
  [ -z "${PIP_INDEX_URL:-}" ] || more+=(--build-arg "PIP_INDEX_URL=$PIP_INDEX_URL")
  builder bud -q --layers --pull-never --isolation chroot --network host --build-arg "BASE=$ref" "${more[@]}" "$@" -t "$name" "$dir" >&2 ||
    die "$name did not build"
  out=$TESTBED_STATE/images/$(echo "$name" | tr '/:' '__').tar
  rm -f "$out"
  builder push -q -f oci "$name" "oci-archive:$out:$name" >&2
  if node_up; then images_import "$out"; fi
  echo "$out"
}

cmd_images() {
  local what=${1:-list}
  [ $# -eq 0 ] || shift
  need_root
  case $what in
    load)
      need_node
      [ $# -gt 0 ] || die "images load FILE..."
      images_import "$@"
      ;;
    list)
      need_node
      ctr -a "$CRI_SOCK" -n k8s.io images ls -q | grep -v '^sha256:' || true
      ;;
    remove)
      need_node
      ctr -a "$CRI_SOCK" -n k8s.io images rm "$@"
      ;;
    base) images_base "$@" ;;
    build)
      [ $# -ge 2 ] || die "images build NAME:TAG FOLDER [buildah arguments]"
      images_build "$@"
      ;;
    *) die "images list | load FILE... | build NAME:TAG FOLDER [...] | base [SUITE PYTHON] | remove NAME..." ;;
  esac
}
