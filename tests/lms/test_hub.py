"""The hub, played by a server on loopback: what is fetched, and what is said when it cannot be."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import make_model
from gguf_files import write_pair
from hubs import COMMIT, OLDER, Hub, environment, serving

from ptx.errors import PtxError
from ptx.lms.known import MOVED, PAPER
from ptx.lms.models import resolve
from ptx.lms.places import check_name, hub_id, pinned


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    root = tmp_path_factory.mktemp("hub")
    tidy = make_model(root / "tidy")
    (tidy / "onnx").mkdir()
    for extra in ("pytorch_model.bin", "flax_model.msgpack", "consolidated.safetensors", "onnx/model.safetensors"):
        (tidy / extra).write_bytes(b"not for us")
    code = make_model(root / "code")
    config = json.loads((code / "config.json").read_text())
    (code / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "modeling.Mine"}}))
    empty = make_model(root / "empty")
    (empty / "model.safetensors").unlink()
    server = Hub({"org/tidy": tidy, "org/code": code, "org/empty": empty, "org/other": tidy}, {"org/gated"})
    server.folders["org/steps"], server.older["org/steps"] = tidy, make_model(root / "older", seed=7)
    with serving(server):
        yield server


SCRIPT = """
import json, sys
from ptx.errors import PtxError
from ptx.lms.models import resolve
for name in sys.argv[1:]:
    name, _, part = name.partition("#")
    try:
        model = resolve(name, tokenizer_only=part == "tokenizer")
        print(json.dumps({"path": model.path, "digest": model.digest, "tokenizer": model.tokenizer}))
    except PtxError as error:
        print(json.dumps({"error": error.message, "hint": error.hint}))
print(json.dumps(sorted({"torch", "transformers"} & sys.modules.keys())))
"""


def ask(hub: Hub, home: Path, *names: str, offline: bool = False) -> list[dict[str, str]]:
    """What another process that talks to this hub says about each name (its libraries read the environment once)."""
    script = [sys.executable, "-c", SCRIPT, *names]
    done = subprocess.run(script, env=environment(hub, home, offline=offline), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", done.stderr  # nothing but our own errors
    *answers, heavy = map(json.loads, done.stdout.splitlines())
    assert heavy == []
    return answers


def test_a_gguf_file_of_the_hub(hub: Hub, tmp_path: Path) -> None:
    write_pair(tmp_path / "files" / "tiny.gguf", tmp_path / "folder")
    (tmp_path / "files" / "other.gguf").write_bytes(b"GGUF, not asked for")
    hub.folders["org/tiny-gguf"] = tmp_path / "files"
    hub.asked.clear()
    asked = ("org/tiny-gguf@main:none.gguf", "org/tiny-gguf")
    none, unnamed = ask(hub, tmp_path / "home", *asked)
    assert none["error"] == "org/tiny-gguf has no file none.gguf, or it is not in the local cache"
    assert "name one of its GGUF files, as org/tiny-gguf:FILE.gguf" in unnamed["hint"]
    code = "import sys; from ptx.lms.places import gguf_file; print(gguf_file('org/tiny-gguf@main:tiny.gguf'))"
    where = environment(hub, tmp_path / "home")
    done = subprocess.run([sys.executable, "-c", code], env=where, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).read_bytes() == (tmp_path / "files" / "tiny.gguf").read_bytes()
    assert hub.asked == ["tiny.gguf"]
    hub.asked.clear()


def test_the_hub(hub: Hub, tmp_path: Path) -> None:
    names = ("org/tidy#tokenizer", "org/tidy", "org/nothing", "org/gated", "org/code", "org/empty")
    tokenizer, whole, nothing, gated, code, empty = ask(hub, tmp_path, *names)
    assert whole["path"].endswith(COMMIT)
    assert tokenizer["tokenizer"] == whole["tokenizer"] != whole["digest"]
    assert nothing["error"] == "the hub has no model org/nothing, or it is private"
    assert "hf auth login" in nothing["hint"]
    assert "org/gated is gated" in gated["error"]
    assert "accept them at https://huggingface.co/org/gated" in gated["hint"]
    assert "auto_map in config.json" in code["error"]
    assert "no weights for PyTorch" in empty["error"]
    assert all("bert-micro" in answer["hint"] for answer in (nothing, gated, empty))
    # one format of weights, none of what brings code, nothing of other frameworks
    assert sorted(hub.asked) == sorted(
        3 * ["config.json", "tokenizer.json", "tokenizer_config.json"] + ["model.safetensors"]
    )

    hub.asked.clear()
    again, other, code = ask(hub, tmp_path, "org/tidy", "org/other", "org/code", offline=True)
    assert again == whole
    assert other["error"] == "org/other is not (completely) in the local cache, and the hub is out of reach"
    assert "hf download org/other" in other["hint"]
    assert "bert-micro" in other["hint"]
    assert "auto_map" in code["error"]
    assert hub.asked == []

    ask(hub, tmp_path, "org/other#tokenizer")
    (partial,) = ask(hub, tmp_path, "org/other", offline=True)
    assert "not (completely) in the local cache" in partial["error"]


def test_a_revision(hub: Hub, tmp_path: Path) -> None:
    """By tag, by a branch with a slash and by commit it is one model, and another than main's."""
    names = [f"org/steps@{revision}" for revision in ("step3000", "refs/pr/1", OLDER)]
    tag, branch, commit = ask(hub, tmp_path, *names)
    assert tag["path"].endswith(OLDER)
    assert tag == branch == commit
    weights = Path(tag["path"]) / "model.safetensors"
    assert weights.read_bytes() == (hub.older["org/steps"] / "model.safetensors").read_bytes()
    assert [tag] * 3 == ask(hub, tmp_path, *names, offline=True)

    (main,) = ask(hub, tmp_path, "org/steps", offline=True)
    assert main["error"] == "org/steps is not (completely) in the local cache, and the hub is out of reach"
    assert "has other revisions, refs/pr/1, step3000: give org/steps@refs/pr/1" in main["hint"]
    (other,) = ask(hub, tmp_path, "org/steps@v9", offline=True)
    assert other["error"].startswith("org/steps@v9 is not")
    assert "`hf download org/steps --revision v9`" in other["hint"]
    main, same, nothing = ask(hub, tmp_path, "org/steps", "org/steps@main", "org/steps@v9")
    assert main["digest"] == same["digest"] != tag["digest"]
    assert nothing["error"] == "org/steps has no revision 'v9' on the hub"
    assert "https://huggingface.co/org/steps/tree/main" in nothing["hint"]


def test_a_commit_alone_in_the_cache_is_named(hub: Hub, tmp_path: Path) -> None:
    ask(hub, tmp_path, f"org/steps@{OLDER}")
    (main,) = ask(hub, tmp_path, "org/steps", offline=True)
    assert f"give org/steps@{OLDER};" in main["hint"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bert-micro@v1", "bert-micro has no revisions"),
        (".@v1", r"\. has no revisions"),
        ("gpt2@", "gpt2 is followed by no branch, tag or commit"),
        ("gpt2@../../x", "gpt2 is followed by no branch"),
        ("gpt2@/x", "gpt2 is followed by no branch"),
        ("org/name@a b", "org/name is followed by no branch"),
        ("nothing@v1", "unknown model"),
    ],
)
def test_what_is_no_revision(name: str, expected: str) -> None:
    with pytest.raises(PtxError, match=expected):
        resolve(name)


def test_a_pinned_name() -> None:
    assert pinned("org/name@refs/pr/1") == ("org/name", "refs/pr/1")
    assert pinned("org/name") == ("org/name", "")
    for name in ("gpt2@v1", "bert-base@main", f"org/name@{COMMIT}"):
        check_name(name)


def test_a_folder_wins_over_a_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_model(tmp_path / "org" / "name@v1")
    assert resolve("org/name@v1").path == str(tmp_path / "org" / "name@v1")


def test_aliases_are_hub_ids() -> None:
    assert hub_id("bert-base") == "google-bert/bert-base-cased"
    assert hub_id("albert-large") == "albert/albert-large-v2"
    assert hub_id("gpt2-small") == hub_id("gpt2") == "openai-community/gpt2"
    assert hub_id("t5-small") == "google-t5/t5-small"
    assert hub_id("org/name") == "org/name"
    assert not {name for names in MOVED.values() for name in names.split()} & PAPER.keys()


BAD = [
    "..",
    ".",
    "../x",
    "x/..",
    "../../etc/passwd",
    "bert-micro/..",
    "bert-micro/.",
    "a/../b",
    "a//b",
    "a/b/c",
    "org/..x",
]


@pytest.mark.parametrize("name", BAD)
def test_names_cannot_leave_their_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "er")
    with pytest.raises(PtxError, match=r"unknown model|no folder|has no tokenizer files"):
        resolve(name)


def test_a_folder_is_what_the_user_says(tiny: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Absolute and relative paths are fine, and links are followed: the same files are the same model."""
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshot").mkdir()
    for file in Path(tiny["a"]).iterdir():
        (tmp_path / "blobs" / file.name).write_bytes(file.read_bytes())
        (tmp_path / "snapshot" / file.name).symlink_to(Path("..") / "blobs" / file.name)
    monkeypatch.chdir(tmp_path)
    assert resolve("./snapshot").digest == resolve("snapshot").digest == resolve(tiny["a"]).digest


def test_a_typo_gets_a_suggestion() -> None:
    with pytest.raises(PtxError) as caught:
        check_name("bert-micr")
    assert "did you mean 'bert-micro'?" in caught.value.hint
