"""GGUF files: the model that they hold, whatever it is called and wherever it was dequantised to."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gguf_files import write_pair
from safetensors.torch import load_file

from ptx.cache import Store, leases
from ptx.cache.gc import Wanted, collect_garbage
from ptx.errors import PtxError
from ptx.lms import gguf
from ptx.lms.models import resolve
from ptx.lms.places import check_name, place
from ptx.stages import versions

SHORT = ("--tasks", "R1", "--epochs", "1", "--prompt-length", "2", "--json")


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """The file and the folder of one model, by the kind of its numbers."""
    root = tmp_path_factory.mktemp("gguf")
    pairs = {}
    for kind in ("Q4_0", "Q8_0", "F16", "F32"):
        pairs[kind] = root / kind / f"tiny.{kind}.gguf", root / f"{kind} folder"
        write_pair(*pairs[kind], kind, tied=kind != "Q8_0")
    return pairs


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, with a cache in it; what is told is written to `told`."""
    monkeypatch.chdir(tmp_path)

    def tell(text: str) -> None:
        with Path("told").open("a") as told:
            told.write(f"{text}\n")

    gguf.keep_in(Store(tmp_path / "cache"), tell)
    return tmp_path


def inside(root: Path) -> list[Path]:
    return sorted(root.glob("cache/models/v1/gguf/*"))


@pytest.mark.parametrize("kind", ["Q4_0", "Q8_0", "F16", "F32"])
def test_it_is_the_model_in_the_folder(
    kind: str, pairs: dict[str, tuple[Path, Path]], suite: str, ptx: Callable[..., Any]
) -> None:
    """Same words, same prompt to the last bit, same scores; the words of both are those of the folder alone."""
    made = [ptx("tune", "--model", model, "--suite", suite, *SHORT) for model in pairs[kind]]
    assert [result.code for result in made] == [0, 0], made[0].err
    prompts = [Path(result.at("tune")[0]["path"], "prompt.safetensors").read_bytes() for result in made]
    assert prompts[0] == prompts[1]
    read = [ptx("anchors", "--models", model, "--json") for model in pairs[kind]]
    words = [Path(result.at("anchors")[0]["path"], "words.csv").read_bytes() for result in read]
    assert words[0] == words[1]
    scored = [ptx("eval", "--target", m, "--method", "manual", "--suite", suite, "--json", "--tasks", "R1,R2")
              for m in pairs[kind]]  # fmt: skip
    figures = [[(row["accuracy"], row["facts"]) for row in result.at("eval")] for result in scored]
    assert figures[0] == figures[1]


@pytest.mark.parametrize("kind", ["Q4_0", "F16"])
def test_every_number_is_kept_in_as_few_bytes_as_hold_it(
    kind: str, pairs: dict[str, tuple[Path, Path]], here: Path
) -> None:
    file, folder = pairs[kind]
    kept = load_file(Path(resolve(str(file)).path, "model.safetensors"))
    wanted = load_file(folder / "model.safetensors")
    assert kept.keys() == wanted.keys()
    assert all(kept[name].float().equal(wanted[name]) for name in wanted)
    matrix = kept["model.layers.0.mlp.up_proj.weight"]
    assert matrix.element_size() == (2 if kind == "F16" else 4)


def test_dequantised_once_and_said_so(pairs: dict[str, tuple[Path, Path]], suite: str, ptx: Callable[..., Any]) -> None:
    file = pairs["Q4_0"][0]
    shutil.copy(file, "model.gguf")
    first = ptx("tune", "--model", "model.gguf", "--suite", suite, *SHORT)
    assert "dequantised model.gguf once: 0 MB in" in first.err
    second = ptx("tune", "--model", file, "--suite", suite, *SHORT)
    assert "dequantised" not in second.err.replace(str(Path.cwd()), "")
    assert second.at("tune")[0]["reused"]
    assert second.at("tune")[0]["model"] == str(file)
    elsewhere = ptx("tune", "--model", file, "--suite", suite, *SHORT, "--cache-dir", "other")
    assert elsewhere.at("tune")[0]["key"] == first.at("tune")[0]["key"]


def test_a_copy_that_was_changed_is_made_again(pairs: dict[str, tuple[Path, Path]], here: Path) -> None:
    file = str(pairs["Q4_0"][0])
    folder = Path(resolve(file).path)
    before = (folder / "config.json").read_bytes()
    (folder / "config.json").write_bytes(before.replace(b'"silu"', b'"gelu"'))
    assert (Path(resolve(file).path) / "config.json").read_bytes() == before
    assert Path("told").read_text().count("dequantised") == 2
    shutil.rmtree(folder)
    assert Path(resolve(file).path, "config.json").is_file()


def test_every_name_of_a_file(pairs: dict[str, tuple[Path, Path]], here: Path) -> None:
    file = pairs["Q4_0"][0]
    shutil.copytree(file.parent, "one")
    shutil.copytree(file.parent, "a, b:c")
    shutil.copy(pairs["F32"][0], "a, b:c")
    Path("link.gguf").symlink_to(file)
    names = [f"one/{file.name}", "one", f"one:{file.name}", f"a, b:c:{file.name}", "link.gguf", str(file)]
    for name in names:
        check_name(name)
    assert {resolve(name).digest for name in names} == {resolve(names[0], tokenizer_only=True).digest}
    assert len({place(name) for name in names[:3]}) == 1
    assert len(inside(here)) == 1
    with pytest.raises(PtxError, match=r"a, b:c holds 2 GGUF files") as caught:
        resolve("a, b:c")
    assert f"a, b:c:{file.name}" in caught.value.hint
    with pytest.raises(PtxError, match=r"one holds no file other\.gguf"):
        resolve("one:other.gguf")


def test_other_weights_beside_it_win(pairs: dict[str, tuple[Path, Path]], here: Path) -> None:
    file, folder = pairs["Q4_0"]
    shutil.copytree(folder, "both")
    shutil.copy(file, "both")
    assert Path(resolve("both").path).name == "both"
    assert resolve(f"both:{file.name}").digest == resolve(str(file)).digest


def test_the_cache_looks_after_it(pairs: dict[str, tuple[Path, Path]], suite: str, ptx: Callable[..., Any]) -> None:
    file = pairs["F32"][0]
    ptx("tune", "--model", file, "--suite", suite, *SHORT)
    (row,) = [row for row in ptx("cache", "ls", "--json").lines if row["stage"] == "gguf"]
    assert row["model"] == str(file)
    assert row["bytes"] > file.stat().st_size / 2
    folder = Path(row["path"])
    assert [row["stage"] for row in ptx("cache", "ls", "--json", "--stage", "tune").lines] == ["tune"]
    assert ptx("cache", "gc").code == 0
    assert folder.is_dir()
    assert str(folder) not in ptx("cache", "gc", "--older-than", "1").out
    assert str(folder) in ptx("cache", "gc", "--max-size", "0", "--json").out
    assert not folder.exists()
    ptx("tune", "--model", file, "--suite", suite, *SHORT)
    (folder / "tokenizer.json").write_text("{}")
    assert ptx("cache", "verify").code == 1
    assert str(folder) in ptx("cache", "gc", "--json").out


def test_what_is_in_use_is_kept(pairs: dict[str, tuple[Path, Path]], here: Path) -> None:
    store, key = Store(here / "cache"), resolve(str(pairs["F32"][0])).digest
    with leases.held(store, [("gguf", key)]):
        assert collect_garbage(store, versions(), Wanted(older_than=0)).in_use == {*inside(here)}
    assert {*inside(here)} <= {*collect_garbage(store, versions(), Wanted(older_than=0)).paths}


def test_a_hub_file_is_named_behind_a_colon(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    for name in ("org/name:x.Q4_0.gguf", "org/name@main:x.gguf"):
        check_name(name)
    assert place("org/name:x.gguf") != place("org/name:y.gguf")


@pytest.mark.parametrize("name", ["nothing.gguf", "folder/nothing.gguf", "told:y.gguf", "./x:y.gguf", "a@b/c.gguf"])
def test_a_file_that_is_not_there(name: str, here: Path) -> None:
    Path("told").touch()
    with pytest.raises(PtxError, match=f"mine: no file {name}"):
        check_name(name, "mine: ")


def broken(**said: Any) -> Callable[[Path], None]:
    return lambda file: write_pair(file, Path("folder"), **said)


def cut(share: float) -> Callable[[Path], None]:
    def write(file: Path) -> None:
        write_pair(file, Path("folder"))
        file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])

    return write


def endless(key: str) -> Callable[[Path], None]:
    """A list in the head says that it has a million million items."""

    def write(file: Path) -> None:
        write_pair(file, Path("folder"))
        content = file.read_bytes()
        at = content.index(key.encode()) + len(key) + 8  # behind the types of the value and its items
        file.write_bytes(content[:at] + (10**12).to_bytes(8, "little") + content[at + 8 :])

    return write


# how the file is written; its name; what the message and the hint have
WRONG: dict[str, tuple[Callable[[Path], Any], str, str, str]] = {
    "empty": (lambda file: file.touch(), "x.gguf", "x.gguf is no GGUF file", "fetch it again"),
    "pointer": (lambda file: file.write_text("version https://git-lfs"), "x.gguf", "is no GGUF file", "fetch it"),
    "head only": (cut(0.001), "x.gguf", "cannot read x.gguf", "if it is damaged, fetch it again"),
    "cut in the words": (cut(0.1), "x.gguf", "cannot read x.gguf", "if it is damaged, fetch it again"),
    "cut in the numbers": (cut(0.9), "x.gguf", "cannot read x.gguf", "if it is damaged, fetch it again"),
    "a tensor too many": (broken(more="blk.1.attn_q.bias"), "x.gguf", "LlamaForCausalLM has no place for 32 of its",
                          "damaged"),
    "a missing tensor": (broken(left_out="blk.1.ffn_up.weight"), "x.gguf", "mlp.up_proj.weight is missing", "damaged"),
    "a billion layers": (broken(layers=10**9), "x.gguf", "more layers than tensors", "damaged"),
    "endless words": (endless("tokenizer.ggml.tokens"), "x.gguf", "cannot read x.gguf", "damaged"),
    "endless types": (endless("tokenizer.ggml.token_type"), "x.gguf", "cannot read x.gguf", "damaged"),
    "words are missing": (broken(words=5), "x.gguf", "cannot read x.gguf", "damaged"),
    "unknown architecture": (broken(architecture="mammoth"), "x.gguf", "mammoth is not supported",
                             "give the model that it was made from"),
    "unknown tokenizer": (broken(tokenizer="abacus"), "x.gguf", "abacus", "give the model"),
    "images": (broken(architecture="clip"), "mmproj-x.gguf", "holds the part of a model that reads images",
               "the GGUF file of the language model"),
    "adapter": (broken(type="adapter"), "x.gguf", "holds an adapter", "the GGUF file of the language model"),
    "one of several": (broken(), "x-00001-of-00003.gguf", "one part of a model that was split", "llama-gguf-split"),
    "another name": (broken(), "x.bin", "x.bin is a GGUF file by another name", "call it x.bin.gguf"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_file_and_what_to_do(case: str, here: Path) -> None:
    write, name, what, hint = WRONG[case]
    write(Path(name))
    with pytest.raises(PtxError) as caught:
        resolve(name)
    assert what in caught.value.message
    assert hint in caught.value.hint
    assert not inside(here)


def test_without_the_package(pairs: dict[str, tuple[Path, Path]], here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf, "find_spec", lambda name: None)
    with pytest.raises(PtxError, match=r"tiny\.Q4_0\.gguf is a GGUF file, which takes the package gguf") as caught:
        resolve(str(pairs["Q4_0"][0]))
    assert caught.value.hint == "run `pip install gguf accelerate`"
