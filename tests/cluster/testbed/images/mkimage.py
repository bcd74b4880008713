#!/usr/bin/env python3
"""Make a container image archive (OCI layout, which `ctr images import`, buildah and
skopeo read) from local directories, without a daemon. The same input gives the same bytes.

  mkimage.py OUT.tar NAME:TAG [--layer DIR_OR_TAR]... [--entrypoint JSON] [--cmd JSON]
             [--env K=V]... [--workdir DIR] [--user U] [--arch amd64]
"""

import argparse
import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path


def layer_bytes(src):
    if Path(src).is_dir():
        return subprocess.run(
            ["tar", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "-C", src, "-c", "."],
            check=True,
            stdout=subprocess.PIPE,
        ).stdout
    data = Path(src).read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def main():
    p = argparse.ArgumentParser()
    p.add_argument("out")
    p.add_argument("name")
    p.add_argument("--layer", action="append", default=[])
    p.add_argument("--entrypoint", type=json.loads)
    p.add_argument("--cmd", type=json.loads)
    p.add_argument("--env", action="append", default=[])
    p.add_argument("--workdir")
    p.add_argument("--user")
    p.add_argument("--arch", default="amd64")
    p.add_argument("--gzip", type=int, default=1)
    a = p.parse_args()
    blobs, layers, diffs = {}, [], []

    def blob(b):
        d = hashlib.sha256(b).hexdigest()
        blobs[d] = b
        return {"digest": "sha256:" + d, "size": len(b)}

    for src in a.layer:
        raw = layer_bytes(src)
        diffs.append("sha256:" + hashlib.sha256(raw).hexdigest())
        if a.gzip:
            layers.append(
                {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                    **blob(gzip.compress(raw, a.gzip, mtime=0)),
                }
            )
        else:
            layers.append({"mediaType": "application/vnd.oci.image.layer.v1.tar", **blob(raw)})
    cfg = {"Env": a.env or ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}
    given = {"Entrypoint": a.entrypoint, "Cmd": a.cmd, "WorkingDir": a.workdir, "User": a.user}
    cfg |= {k: v for k, v in given.items() if v}
    config = blob(
        json.dumps(
            {
                "architecture": a.arch,
                "os": "linux",
                "created": "1970-01-01T00:00:00Z",
                "config": cfg,
                "rootfs": {"type": "layers", "diff_ids": diffs},
                "history": [{"created_by": "mkimage.py"} for _ in diffs],
            },
            sort_keys=True,
        ).encode()
    )
    manifest = blob(
        json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config},
                "layers": layers,
            },
            sort_keys=True,
        ).encode()
    )
    index = {
        "schemaVersion": 2,
        "manifests": [
            {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                **manifest,
                "annotations": {
                    "io.containerd.image.name": a.name,
                    "org.opencontainers.image.ref.name": a.name.rsplit(":", 1)[-1],
                },
                "platform": {"architecture": a.arch, "os": "linux"},
            }
        ],
    }
    with tarfile.open(a.out, "w") as t:

        def add(name, b):
            i = tarfile.TarInfo(name)
            i.size = len(b)
            t.addfile(i, io.BytesIO(b))

        add("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        add("index.json", json.dumps(index).encode())
        for d, b in blobs.items():
            add("blobs/sha256/" + d, b)
    print(a.name, manifest["digest"], Path(a.out).stat().st_size, "bytes")


if __name__ == "__main__":
    main()
