"""A cache in an object store: moto's server on this machine, and a file system in memory where faults are wanted."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from conftest import PAPER_TUNING, one_file
from fsspec.implementations.memory import MemoryFileSystem

from ptx.cache import Artifact, Store, digest, file_digest
from ptx.cache import bucket as bucket_of
from ptx.cache.gc import collect_garbage
from ptx.cache.remote import folder_of, store_at
from ptx.errors import PtxError, UsageError

KEY = "ab" * 16


class Stub(MemoryFileSystem):  # type: ignore[misc]
    """Creates what is not there at once, as S3 does; `before` is called with each path that is read or written."""

    protocol = "stub"
    cachable = False
    store: dict[str, Any] = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012
    lock = threading.RLock()
    written: list[str] = []  # noqa: RUF012
    before: Callable[[str, str], None] = staticmethod(lambda what, path: None)

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("stub://", "memory://"))

    def pipe_file(self, path, value, mode="overwrite", **kwargs):
        Stub.before("write", path)
        with self.lock:
            super().pipe_file(path, value, mode=mode)
        Stub.written.append(path)

    def cat_file(self, path, start=None, end=None, **kwargs):
        Stub.before("read", path)
        return super().cat_file(path, start, end)

    def find(self, path, *args, **kwargs):
        Stub.before("list", path)
        return super().find(path, *args, **kwargs)


@pytest.fixture
def stub(monkeypatch) -> type[Stub]:
    fsspec.register_implementation("stub", Stub, clobber=True)
    for name, value in {"store": {}, "pseudo_dirs": [""], "written": []}.items():
        monkeypatch.setattr(Stub, name, value)
    monkeypatch.setattr(Stub, "before", Stub.before)
    monkeypatch.setattr(bucket_of, "FRESH", 0.0)
    return Stub


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def bucket(server, monkeypatch) -> str:
    """The name of a new one."""
    return _bucket(server, monkeypatch)


def _bucket(server: Any, monkeypatch) -> str:
    import boto3
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    name = f"bucket-{uuid.uuid4().hex[:8]}"
    boto3.client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture
def machine(tmp_path, monkeypatch) -> Callable[..., Store]:
    """The cache at an address, as a machine of this name sees it; its warnings go to a list."""

    def opened(name: str, where: str = "stub://bucket/ptx", warn: Callable[[str], None] = pytest.fail) -> Store:
        monkeypatch.setenv("PTX_REMOTE_CACHE", str(tmp_path / name))
        return store_at(where, warn)

    return opened


def put(store: Store, content: bytes = b"1", stage: str = "tune", key: str = KEY, **more: Any) -> Artifact:
    meta = {"version": 1, "parents": more.pop("parents", []), "labels": {"task": "R1"}}
    return store.publish(stage, key, meta, one_file("x", content), **more)


def content(store: Store, stage: str = "tune", key: str = KEY) -> bytes | None:
    found = store.read(stage, key)
    return (found.path / "x").read_bytes() if found else None


def test_what_one_machine_builds_another_one_has(bucket, machine) -> None:
    where = f"s3://{bucket}/a/b/"
    made = put(machine("one", where), b"made")
    other = machine("two", where)
    found = other.read("tune", KEY)
    assert found is not None
    assert found.path.is_relative_to(other.root)
    assert found.path != made.path
    assert {p.name: file_digest(p) for p in found.path.iterdir()} == {
        p.name: file_digest(p) for p in made.path.iterdir()
    }
    assert other.find(KEY[:6]).path == found.path
    assert other.read("tune", "cd" * 16) is None
    assert [path.name for path in machine("three", where).entries("tune")] == [KEY]
    objects = fsspec.filesystem("s3").find(f"{bucket}/a/b")
    assert sorted(objects) == [
        f"{bucket}/a/b/objects/{file_digest(made.path / 'x')}",
        f"{bucket}/a/b/v1/tune/{KEY}/meta.json",
    ]


def test_a_list_is_refreshed_before_it_is_believed(bucket, machine, monkeypatch) -> None:
    where = f"s3://{bucket}"
    other = machine("two", where + "/p")
    assert other.read("tune", KEY) is None
    assert list(other.entries("tune")) == []
    put(machine("one", where + "/p"))
    assert other.read("tune", KEY) is None  # a moment is believed
    monkeypatch.setattr(bucket_of, "FRESH", 0.0)
    assert content(other) == b"1"


def test_commands_build_nothing_that_another_machine_has_built(ptx, tiny, suite, bucket, tmp_path, monkeypatch) -> None:
    where = ["--cache-dir", f"s3://{bucket}/x"]
    args = [
        "eval",
        "--sources",
        tiny["a"],
        "--target",
        tiny["b"],
        "--suite",
        suite,
        "--epochs",
        2,
        *PAPER_TUNING,
        *where,
    ]
    shown, keys = [], []
    for name in ("one", "two"):
        monkeypatch.setenv("PTX_REMOTE_CACHE", str(tmp_path / name))
        ended = ptx(*args, "--json")
        assert ended.code == 0, ended.err
        assert all(line["reused"] for line in ended.lines) == (name == "two")
        keys.append(sorted((line["stage"], line["key"]) for line in ended.lines))
    assert keys[0] == keys[1]
    for name in ("one", "three"):
        monkeypatch.setenv("PTX_REMOTE_CACHE", str(tmp_path / name))
        shown.append(ptx("table", *where))
        assert shown[-1].code == 0, shown[-1].err
    assert shown[0].out == shown[1].out
    key = next(line["key"] for line in ended.lines if line["stage"] == "eval")
    monkeypatch.setenv("PTX_REMOTE_CACHE", str(tmp_path / "four"))
    why = ptx("why", key, *where)
    assert "no longer in the cache" not in why.out
    assert "tune" in why.out
    for command in (["cache", "ls"], ["cache", "gc"], ["cache", "verify"]):
        ended = ptx(*command, *where)
        assert ended.code == 0, ended.err
        assert "nothing is removed from the object store" in ended.err
        assert "more artifacts there" in ended.err
    assert not any(path.name.startswith("s3") for path in tmp_path.iterdir())


def test_worker_processes_upload_what_they_build(ptx, tiny, suite, bucket, tmp_path, monkeypatch) -> None:
    (tmp_path / "grid.toml").write_text(
        f'suite = "{suite}"\nmethods = ["tuned", "direct"]\ntune = {{ epochs = 1 }}\n'
        f'sources = [["{tiny["a"]}"]]\ntargets = ["{tiny["b"]}"]\n'
    )
    for name in ("one", "two"):
        monkeypatch.setenv("PTX_REMOTE_CACHE", str(tmp_path / name))
        ended = ptx("run", "grid.toml", "--jobs", 2, "--cache-dir", f"s3://{bucket}/x")
        assert ended.code == 0, ended.err
        assert ("built nothing" in ended.err) == (name == "two"), ended.err


def test_meta_json_is_last_and_half_an_artifact_is_none(stub, machine, monkeypatch) -> None:
    def killed(what: str, path: str) -> None:
        if what == "write" and path.endswith("meta.json"):
            raise SystemExit

    monkeypatch.setattr(Stub, "before", staticmethod(killed))
    with pytest.raises(SystemExit):
        put(machine("one"), b"half")
    assert [path.split("/")[-2] for path in stub.written] == ["objects"]
    monkeypatch.setattr(Stub, "before", staticmethod(lambda what, path: None))
    other = machine("two")
    assert other.read("tune", KEY) is None
    put(other, b"half")
    assert [path.split("/")[-2] for path in stub.written] == ["objects", KEY]  # what is there is not sent again
    assert content(machine("three")) == b"half"


@pytest.mark.parametrize("fault", ["bytes", "size", "gone", "meta", "half", "other entry", "outside", "nothing"])
def test_a_damaged_entry_counts_as_missing_and_is_mended(fault, stub, machine) -> None:
    put(machine("one"), b"good")
    system = Stub()
    entry, thing = f"/bucket/ptx/v1/tune/{KEY}/meta.json", next(path for path in system.store if "/objects/" in path)
    meta = json.loads(system.cat_file(entry))
    said: dict[str, Any] = {
        "meta": {**meta, "version": 2},
        "other entry": {**meta, "key": "cd" * 16},
        "outside": {**meta, "payload": {"../../x": meta["payload"]["x"]}},
        "nothing": [],
    }
    if fault in ("bytes", "size"):
        system.pipe_file(thing, b"evil" if fault == "bytes" else b"")
    elif fault == "gone":
        system.rm_file(thing)
    else:
        if fault == "outside":  # its own digest is right
            said[fault]["sha256"] = digest({k: v for k, v in said[fault].items() if k != "sha256"})
        system.pipe_file(entry, b'{"key"' if fault == "half" else json.dumps(said[fault]).encode())
    warned: list[str] = []
    other = machine("two", warn=warned.append)
    assert other.read("tune", KEY) is None
    assert other.read("tune", KEY) is None
    assert len(warned) == 1
    assert f"damaged tune {KEY[:12]} in stub://bucket/ptx (" in warned[0]
    assert "it counts as missing" in warned[0]
    assert not [path for path in other.root.rglob("*") if path.is_file()]
    put(other, b"good")
    assert content(machine("three")) == b"good"


def test_a_damaged_copy_is_fetched_again(stub, machine) -> None:
    made = put(machine("one"), b"good")
    (made.path / "x").write_bytes(b"evil")
    warned: list[str] = []
    assert content(machine("one", warn=warned.append)) == b"good"
    assert "set aside" in warned[0]


@pytest.mark.parametrize("theirs", [b"ours", b"theirs"])
def test_of_two_the_first_is_kept_by_both(theirs, stub, machine, monkeypatch) -> None:
    """Between our look and our commit another machine commits."""
    first, second = machine("one"), machine("two")

    def before(what: str, path: str) -> None:
        if what == "write" and path.endswith("meta.json"):
            monkeypatch.setattr(Stub, "before", staticmethod(lambda what, path: None))
            put(first, theirs)

    assert second.read("tune", KEY) is None
    monkeypatch.setattr(Stub, "before", staticmethod(before))
    made = put(second, b"ours")
    assert (made.path / "x").read_bytes() == theirs
    assert content(second) == content(machine("three")) == theirs
    assert made.path.is_relative_to(second.root)
    assert len(list(made.path.parent.iterdir())) == 1


def test_one_that_was_first_but_is_damaged_is_written_anew(stub, machine) -> None:
    warned: list[str] = []
    second = machine("two", warn=warned.append)
    Stub().pipe_file(f"/bucket/ptx/v1/tune/{KEY}/meta.json", b"{")
    assert (put(second, b"ours").path / "x").read_bytes() == b"ours"
    assert "damaged tune" in warned[0]
    assert content(machine("three")) == b"ours"


def test_many_at_once_agree(stub, machine) -> None:
    stores = [machine(f"m{n}") for n in range(8)]
    threads = [threading.Thread(target=put, args=(store, f"by {n}".encode())) for n, store in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({content(store) for store in [*stores, machine("late")]}) == 1


def test_what_is_rebuilt_takes_the_place_of_the_old(stub, machine) -> None:
    one = machine("one")
    old = put(one, b"old")
    put(one, b"new", replacing=old)
    assert content(machine("two")) == b"new"


def test_what_is_built_without_a_network_is_uploaded_by_the_next_run(stub, machine, monkeypatch) -> None:
    warned: list[str] = []
    one = machine("one", warn=warned.append)
    assert one.read("tune", KEY) is None

    def gone(what: str, path: str) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(Stub, "before", staticmethod(gone))
    put(one, b"kept")
    put(one, b"kept", key="cd" * 16)
    assert content(one) == b"kept"
    assert len(warned) == 1
    assert "cannot reach stub://bucket/ptx: no route to host; what is built is kept here" in warned[0]
    monkeypatch.setattr(Stub, "before", staticmethod(lambda what, path: None))
    assert stub.written == []
    again = machine("one")
    assert content(again) == b"kept"
    assert content(again, key="cd" * 16) == b"kept"
    assert content(machine("two")) == b"kept"
    count = len(stub.written)
    assert content(machine("one")) == b"kept"
    assert len(stub.written) == count  # nothing is sent twice


def test_a_network_that_comes_back_is_used_again(stub, machine, monkeypatch) -> None:
    warned: list[str] = []
    one = machine("one", warn=warned.append)
    assert one.read("tune", KEY) is None
    monkeypatch.setattr(Stub, "before", staticmethod(lambda what, path: 1 / 0))
    put(one)
    monkeypatch.setattr(Stub, "before", staticmethod(lambda what, path: None))
    monkeypatch.setattr(bucket_of, "PAUSE", 0.0)
    assert content(one) == b"1"
    assert content(machine("two")) == b"1"
    assert len(warned) == 1


def test_a_bucket_that_is_only_read(stub, machine, monkeypatch) -> None:
    put(machine("one"), b"there")

    def before(what: str, path: str) -> None:
        if what == "write":
            raise PermissionError("Access Denied")

    monkeypatch.setattr(Stub, "before", staticmethod(before))
    warned: list[str] = []
    other = machine("two", warn=warned.append)
    assert content(other) == b"there"
    put(other, key="cd" * 16)
    put(other, key="ef" * 16)
    assert content(other, key="cd" * 16) == b"1"
    assert warned == ["no permission for stub://bucket/ptx: Access Denied; what is built is kept here only"]


def test_what_an_artifact_was_made_of_is_brought_along(stub, machine) -> None:
    one = machine("one")
    put(one, stage="tune")
    put(one, stage="search", key="cd" * 16, parents=[{"stage": "tune", "key": KEY}])
    put(one, stage="eval", key="ef" * 16, parents=[{"stage": "search", "key": "cd" * 16}])
    other = machine("two")
    assert list(other.folders()) == []
    assert [path.name for path in other.entries("eval")] == ["ef" * 16]
    assert {path.parent.name for path in other.folders()} == {"tune", "search", "eval"}


def test_gc_removes_copies_only(stub, machine) -> None:
    one = machine("one")
    put(one, stage="search")
    assert len(collect_garbage(one, {"search": 2}).paths) == 1
    assert list(one.folders()) == []
    assert content(one, "search") == b"1"


def test_errors_say_what_to_do(bucket, machine, monkeypatch) -> None:
    def said(where: str) -> tuple[str, str]:
        with pytest.raises(PtxError) as raised:
            machine("one", where).read("tune", KEY)
        return raised.value.message, raised.value.hint

    assert said("s3://no-such-bucket/x") == (
        "s3://no-such-bucket/x: The specified bucket does not exist", "make the bucket first, or correct --cache-dir",
    )  # fmt: skip
    message, hint = said("nothing://me:secret@bucket")
    assert message.startswith("nothing://***@bucket: Protocol not known")
    assert hint == "write it like s3://bucket/folder"
    assert said("s3://")[0] == "s3:// names no bucket"
    assert said("file:///tmp/x") == ("file:///tmp/x is a local folder", "give its path alone: --cache-dir FOLDER")
    with monkeypatch.context() as patched:
        patched.setattr(bucket_of, "version", lambda package: "2025.5.1")
        assert said(f"s3://{bucket}") == (
            "this s3fs cannot be relied on to create a file only if there is none", "run `pip install 's3fs>=2025.7'`",
        )  # fmt: skip

    def without(address: str) -> None:
        raise ImportError("Install s3fs to access S3")

    with monkeypatch.context() as patched:
        patched.setattr(fsspec, "url_to_fs", without)
        message, hint = said(f"s3://{bucket}")
    assert message == f"s3://{bucket} needs a package: Install s3fs to access S3"
    assert "pip install 's3fs>=2025.7'" in hint
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/none")
    message, hint = said(f"s3://{bucket}")
    assert message == f"no credentials for s3://{bucket}: Unable to locate credentials"
    assert "AWS_PROFILE" in hint


def test_a_server_that_is_lost_in_the_middle(machine, monkeypatch) -> None:
    from moto.server import ThreadedMotoServer
    from s3fs import S3FileSystem

    monkeypatch.setattr(S3FileSystem, "retries", 1)  # it waits in between
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    where = f"s3://{_bucket(server, monkeypatch)}/x"
    warned: list[str] = []
    one = machine("one", where, warned.append)
    put(one, b"up")
    server.stop()
    put(one, b"kept", key="cd" * 16)
    assert content(one, key="cd" * 16) == b"kept"
    assert len(warned) == 1
    assert f"cannot reach {where}: Could not connect to the endpoint" in warned[0]
    with pytest.raises(PtxError, match="cannot reach"):  # at the beginning nothing is built in vain
        machine("two", where).read("tune", KEY)


def test_folders_by_address(monkeypatch, tmp_path) -> None:
    assert folder_of("cache") == Path("cache")
    monkeypatch.delenv("PTX_REMOTE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    one, other = folder_of("s3://a/b"), folder_of("s3://a/c")
    assert one.parent == other.parent == tmp_path / "ptx"
    assert one != other
    assert folder_of("s3://a/b/") == one
    assert type(store_at("cache")) is Store
    assert UsageError.exit_code == 2
