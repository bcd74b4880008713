"""Bringing a version's files here: every form of source, the cache, credentials, hostile listings."""

import asyncio
import shutil
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

import model_dirs
from fake_mlflow import FakeMlflow
from headgate_server.digest import tree_digest
from headgate_server.reasons import LoadError, Reason
from headgate_server.registry.source import Located, Source
from server_settings import server_settings

FILES = {"MLmodel": b"flavors: {}\n", "data/deep/er/weights.bin": b"\0" * 300_000, "model.onnx": b"onnx", "empty": b""}


@pytest.fixture(params=[False, True], ids=["with content length", "chunked"])
def registry(request: pytest.FixtureRequest):
    with FakeMlflow(chunked=request.param) as made:
        yield made


async def locate(registry: FakeMlflow, model: str, **given: Any) -> Located:
    source = Source(server_settings(model=model, registry_uri=registry.uri, **given))
    try:
        found = await source.locate()
        assert tree_digest(found.path) == found.digest
        return found
    finally:
        source.close()


async def refused(registry: FakeMlflow, model: str, **given: Any) -> LoadError:
    with pytest.raises(LoadError) as caught:
        await locate(registry, model, **given)
    return caught.value


async def test_every_file_comes_as_it_was_logged(registry, tmp_path):
    version = registry.register("my iris", FILES)
    found = await locate(registry, f"models:/my%20iris/{version}", cache_dir=tmp_path / "cache")
    here = {p.relative_to(found.path).as_posix(): p.read_bytes() for p in found.path.rglob("*") if p.is_file()}
    assert here == FILES
    assert (found.name, found.version, found.origin) == ("my iris", "1", "registry")


async def test_the_digest_is_the_same_for_the_folder_and_the_registry(registry, tmp_path):
    path = model_dirs.onnx_iris(tmp_path / "model")
    registry.register("iris", path)
    assert (await locate(registry, "models:/iris/1")).digest == tree_digest(path)


@pytest.mark.parametrize("form", ["models:/iris/1", "mlflow-artifacts:/7/abc/artifacts/model", "runs:/r1/model"])
async def test_each_form_of_source_is_found(registry, form):
    registry.register("iris", FILES)
    for path, content in FILES.items():
        registry.files[f"7/abc/artifacts/model/{path}"] = content
    registry.runs["r1"] = "mlflow-artifacts:/7/abc/artifacts"
    registry.register("copy", source=form)
    here = await locate(registry, "models:/copy/1")
    assert here.digest == (await locate(registry, "models:/iris/1")).digest


async def test_a_run_that_is_gone_is_a_missing_artifact(registry):
    registry.register("iris", source="runs:/gone/model")
    assert (await refused(registry, "models:/iris/1")).reason is Reason.ARTIFACT_MISSING


async def test_files_on_another_host_are_not_asked_for_with_our_credentials(registry):
    registry.register("iris", source="mlflow-artifacts://evil.example/1/artifacts")
    assert (await refused(registry, "models:/iris/1")).reason is Reason.ARTIFACT_MISSING
    assert not registry.asked("mlflow-artifacts")


@pytest.mark.parametrize(
    "path", ["../../escaped", "/etc/escaped", "a/../../../escaped", "..", "a\\..\\escaped", "nul\0byte", "./.."]
)
@pytest.mark.parametrize("is_dir", [False, True])
async def test_a_listing_that_leaves_the_folder_is_refused(registry, tmp_path, path, is_dir):
    registry.register("iris", FILES)
    registry.extra_listing = [{"path": path, "is_dir": is_dir, "file_size": 1}]
    error = await refused(registry, "models:/iris/1", cache_dir=tmp_path / "cache")
    assert error.reason is Reason.ARTIFACT_INVALID
    assert not list(tmp_path.rglob("*escaped*"))


async def test_trouble_with_our_own_disk_is_not_told_as_the_registrys(registry):
    registry.register("iris", FILES | {"x" * 300: b"a longer name than a file system takes"})
    error = await refused(registry, "models:/iris/1")
    assert (error.reason, "disk" in error.message) == (Reason.LOAD_FAILED, True)


async def test_an_endless_tree_is_refused(registry):
    registry.register("iris", FILES)
    registry.extra_listing = [{"path": "again", "is_dir": True}]
    assert (await refused(registry, "models:/iris/1")).reason is Reason.ARTIFACT_INVALID


@pytest.mark.parametrize("lie", [-1, +1])
async def test_a_size_that_differs_from_the_listing_is_truncation(registry, lie):
    registry.register("iris", FILES)
    file = f"{registry.artifact_path('iris', '1')}/model.onnx"
    registry.listed_sizes[file] = len(FILES["model.onnx"]) + lie
    assert (await refused(registry, "models:/iris/1")).reason is Reason.ARTIFACT_TRUNCATED


async def test_a_file_that_is_listed_and_gone_is_told(registry):
    registry.register("iris", FILES)
    registry.extra_listing = [{"path": "phantom", "is_dir": False, "file_size": 1}]
    expected = Reason.REGISTRY_UNREACHABLE if registry.chunked else Reason.ARTIFACT_MISSING
    assert (await refused(registry, "models:/iris/1")).reason is expected


async def test_nothing_half_done_stays_in_the_cache(registry, tmp_path):
    registry.register("iris", FILES)
    registry.fail("truncate", "weights.bin")
    await refused(registry, "models:/iris/1", cache_dir=tmp_path)
    assert [p for p in tmp_path.rglob("*") if p.is_file() and p.parent.name != "locks"] == []


async def test_a_second_start_takes_the_files_from_the_cache(registry, tmp_path):
    registry.register("iris", FILES)
    first = await locate(registry, "models:/iris/1", cache_dir=tmp_path)
    registry.requests.clear()
    second = await locate(registry, "models:/iris/1", cache_dir=tmp_path)
    assert (second.digest, second.path, second.origin) == (first.digest, first.path, "cache")
    assert not registry.asked("mlflow-artifacts")


async def test_a_known_digest_in_the_cache_serves_while_the_registry_is_down(registry, tmp_path):
    registry.register("iris", FILES)
    digest = (await locate(registry, "models:/iris/1", cache_dir=tmp_path)).digest
    registry.fail("500")
    found = await locate(registry, "models:/iris/1", cache_dir=tmp_path, model_digest=digest)
    assert found.origin == "cache"


async def test_a_model_made_anew_under_the_same_number_is_not_the_cached_one(registry, tmp_path):
    registry.register("iris", FILES)
    await locate(registry, "models:/iris/1", cache_dir=tmp_path)
    registry.delete_model("iris")
    registry.register("iris", FILES | {"model.onnx": b"another"})
    found = await locate(registry, "models:/iris/1", cache_dir=tmp_path)
    assert (found.path / "model.onnx").read_bytes() == b"another"


async def test_a_cached_directory_that_was_changed_is_downloaded_again(registry, tmp_path):
    registry.register("iris", FILES)
    first = await locate(registry, "models:/iris/1", cache_dir=tmp_path)
    (first.path / "model.onnx").write_bytes(b"tampered")
    again = await locate(registry, "models:/iris/1", cache_dir=tmp_path)
    assert (again.digest, again.origin) == (first.digest, "registry")


async def test_files_overwritten_in_the_registry_do_not_match_the_digest(registry):
    registry.register("iris", FILES)
    digest = (await locate(registry, "models:/iris/1")).digest
    registry.overwrite("iris", "1", "model.onnx", b"ONNX")
    assert (await refused(registry, "models:/iris/1", model_digest=digest)).reason is Reason.DIGEST_MISMATCH


async def test_several_processes_may_fill_one_cache_at_once(registry, tmp_path):
    registry.register("iris", FILES)
    found = await asyncio.gather(*(locate(registry, "models:/iris/1", cache_dir=tmp_path) for _ in range(6)))
    assert len({f.path for f in found}) == 1
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("incoming")] == []


@pytest.mark.parametrize("way", ["token", "password"])
async def test_credentials_from_the_folder_open_the_registry(tmp_path, way):
    secret = {"token": "t0ken"} if way == "token" else {"username": "u", "password": "p4ss"}
    folder = tmp_path / "credentials"
    folder.mkdir()
    for name, text in secret.items():
        (folder / name).write_text(text + "\n")
    with FakeMlflow(**secret) as registry:
        registry.register("iris", FILES)
        assert (await refused(registry, "models:/iris/1")).reason is Reason.REGISTRY_UNAUTHORIZED
        assert (await locate(registry, "models:/iris/1", registry_credentials=folder)).origin == "registry"


async def test_a_registry_with_its_own_ca_is_trusted_by_ca_crt_alone(tmp_path):
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    with FakeMlflow(tls=context) as registry:
        registry.register("iris", FILES)
        error = await refused(registry, "models:/iris/1")
        assert (error.reason, "not trusted" in error.message) == (Reason.REGISTRY_UNREACHABLE, True)
        assert (await locate(registry, "models:/iris/1", registry_credentials=tmp_path)).origin == "registry"


def test_a_link_out_of_the_folder_is_no_part_of_a_model(tmp_path):
    path = model_dirs.onnx_iris(tmp_path / "model")
    (path / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(LoadError) as caught:
        tree_digest(path)
    assert caught.value.reason is Reason.ARTIFACT_INVALID


def test_the_digest_is_the_documented_one(tmp_path):
    import hashlib

    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "two").write_bytes(b"22")
    (tmp_path / "a").write_bytes(b"1")
    lines = f"{hashlib.sha256(b'1').hexdigest()}  1  a\n{hashlib.sha256(b'22').hexdigest()}  2  b/two\n"
    assert tree_digest(tmp_path) == "sha256:" + hashlib.sha256(lines.encode()).hexdigest()


def test_the_digest_does_not_depend_on_where_the_folder_is(tmp_path: Path):
    one = model_dirs.onnx_iris(tmp_path / "one")
    two = Path(shutil.copytree(one, tmp_path / "two"))
    assert tree_digest(one) == tree_digest(two)
