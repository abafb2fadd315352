"""Prompts are pushed to a hub on loopback and come back from it as they were; what goes wrong says what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Result
from foreign import save_safetensors
from hubs import Hub, environment, serving

# $KEY is what the first command made; NAME=VALUE before a command is set from then on.
SCRIPT = """
import json, os, sys
from typer.testing import CliRunner
from ptx.cli import app
key = ""
for words in json.loads(sys.argv[1]):
    while "=" in words[0]:
        name, _, os.environ[name] = words.pop(0).partition("=")
    done = CliRunner().invoke(app, [word.replace("$KEY", key) for word in words])
    print(json.dumps([done.exit_code, done.stdout, done.stderr]))
    key = key or (json.loads(done.stdout)["key"] if "--json" in words else "")
"""


@pytest.fixture
def hub(tmp_path: Path, tiny) -> Iterator[Hub]:
    server = Hub({"org/next": Path(tiny["next"]), "org/model": Path(tiny["next"])}, set())
    server.new = tmp_path / "repositories"
    with serving(server):
        yield server


def ask(hub: Hub, home: Path, *commands: str, offline: bool = False) -> list[Result]:
    """What another process says to commands: its libraries read the address of the hub once."""
    words = json.dumps([command.split() for command in commands])
    own = environment(hub, home / "hf", offline=offline) | {"HF_TOKEN": Hub.token}
    done = subprocess.run([sys.executable, "-c", SCRIPT, words], env=own, cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [Result(*json.loads(line)) for line in done.stdout.splitlines()]


@pytest.fixture
def key(ptx, suite, tmp_path):
    """The key of an imported prompt of three vectors in front of the text."""

    def make(model: str, width: int) -> str:
        prompt = torch.randn(3, width, generator=torch.Generator().manual_seed(1))
        path = save_safetensors(tmp_path / "prompt", {"x": prompt})
        said = ["--model", model, "--suite", suite, "--task", "R1", "--layout", "prefix", "--json"]
        return str(ptx("import", path, *said).lines[0]["key"])

    return make


def test_to_the_hub_and_back(hub: Hub, key: Any, tiny: Any, suite: str, tmp_path: Path) -> None:
    """Each format, from an empty cache, without a word on task or layout, nor on a model of the hub; the card says what
    it is of."""
    from huggingface_hub import ModelCard

    local, masked = key(tiny["next"], 12), key(tiny["a"], 16)
    prompt = save_safetensors(tmp_path / "again", {"x": torch.ones(3, 12)})
    back = "--json --cache-dir other"
    there, *pushed, adapter, revision, of_masked, of_words = ask(
        hub, tmp_path,
        f"import {prompt} --model org/next --suite {suite} --task R1 --layout prefix --json",
        "export $KEY --to peft --push me/adapter --json",
        f"export {masked} --to safetensors --push me/masked --private",
        f"export {local} --to words --push me/words",
        f"export {local} --to peft --push me/local --dry-run",
        f"import hf:me/adapter {back}",
        f"import hf:me/adapter@main {back}",
        f"import hf:me/masked --model {tiny['a']} {back}",
        f"import hf:me/words --model {tiny['b']} {back}",
    )  # fmt: skip
    assert there.code == 0, there.err
    mine = there.lines[0]["key"]
    assert [result.code for result in pushed] == [0] * 4, [result.err for result in pushed]
    assert pushed[0].lines == [{"stage": "tune", "key": mine, "path": f"http://127.0.0.1:{hub.server_port}/me/adapter"}]
    assert f"the hub has no model {tiny['a']}: who fetches" in pushed[1].err
    assert "the hub has no model" not in pushed[0].err
    assert "would write https://huggingface.co/me/local" in pushed[3].err
    assert hub.folders.keys() == {"org/next", "org/model", "me/adapter", "me/masked", "me/words"}
    assert hub.private == {"me/masked"}
    files = {
        repo: {file.name for file in hub.folders[f"me/{repo}"].iterdir()} for repo in ("adapter", "masked", "words")
    }
    assert files["adapter"] == {".gitattributes", "README.md", "adapter_config.json", "adapter_model.safetensors"}
    assert files["masked"] == {".gitattributes", "README.md", "prompt.safetensors"}
    assert files["words"] == {".gitattributes", "README.md", "prompt.words.json"}
    assert len(hub.validated) == 3
    card = ModelCard.load(hub.folders["me/adapter"] / "README.md")
    said = card.data.to_dict()
    assert (said["base_model"], said["library_name"], said["pipeline_tag"]) == ("org/next", "peft", "text-generation")
    assert {"soft-prompt", "prompt-tuning", "ptx", "base_model:adapter:org/next"} <= set(said["tags"])
    assert (
        'PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, revision=revision), "me/adapter")'
        in card.text
    )
    assert "`ptx import hf:me/adapter`" in card.text
    assert "base_model" not in ModelCard.load(hub.folders["me/masked"] / "README.md").data.to_dict()
    words = ModelCard.load(hub.folders["me/words"] / "README.md")
    assert (words.data.library_name, "`ptx import hf:me/words --model NAME`" in words.text) == ("ptx", True)

    assert [result.code for result in (adapter, revision, of_masked, of_words)] == [0] * 4, (adapter.err, of_masked.err)
    assert [result.lines[0]["key"] for result in (adapter, revision, of_masked)] == [mine, mine, masked]
    assert adapter.lines[0]["file"] == "hf:me/adapter"
    assert (of_words.lines[0]["model"], of_words.lines[0]["task"]) == (tiny["b"], "R1")

    again, other, switched_off = ask(
        hub, tmp_path, "import hf:me/adapter --json", "import hf:me/other",
        f"export {local} --to peft --push me/new", offline=True,
    )  # fmt: skip
    assert again.lines[0]["reused"]
    assert "error: me/other is not (completely) in the local cache, and the hub is out of reach" in other.err
    assert "error: cannot push to me/new: the hub is switched off\nhint: unset HF_HUB_OFFLINE\n" in switched_off.err
    assert "me/new" not in hub.folders


def test_what_cannot_be_pushed(hub: Hub, key: Any, tiny: Any, tmp_path: Path) -> None:
    mine = key(tiny["next"], 12)
    wrong = f"export {mine} --to peft --push"
    first, name, vllm, both, neither, private, model, again, forced, public, *refused = ask(
        hub, tmp_path, f"{wrong} me/adapter", f"{wrong} adapter", f"export {mine} --to vllm --push me/v",
        f"{wrong} me/adapter --output x", f"export {mine} --to peft", f"export {mine} --to peft --output x --private",
        f"{wrong} org/model", f"{wrong} me/adapter", f"{wrong} me/adapter --force",
        f"{wrong} me/adapter --force --private", f"HF_TOKEN=hf_other {wrong} me/new", f"HF_TOKEN= {wrong} me/new",
    )  # fmt: skip
    assert first.code == 0, first.err
    assert name.err == "error: 'adapter' is no name of a repository on the hub\nhint: write it like --push USER/NAME\n"
    assert (name.code, vllm.code) == (2, 2)
    assert vllm.err == "error: --push takes no --to vllm\nhint: use --to peft, safetensors, words\n"
    for result in (both, neither, private):
        assert (result.code, "name an --output, or a repository with --push" in result.err) == (2, True)
    assert "error: org/model holds files already: config.json, generation_config.json, model.safetensors" in model.err
    assert "error: me/adapter holds files already: adapter_config.json" in again.err
    assert "add --force to commit on top of them" in again.err
    assert forced.code == 0
    assert (public.code, "error: me/adapter is public already" in public.err) == (1, True)
    for result, status in zip(refused, (403, 401), strict=True):
        assert f"error: the hub does not let you write to me/new ({status})" in result.err
        assert "hint: run `hf auth login` or set HF_TOKEN" in result.err
        assert "hf_other" not in result.err
    assert "me/new" not in hub.folders


def test_what_cannot_be_imported(hub: Hub, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    (old / "adapter_config.json").write_text('{"peft_type": "PROMPT_TUNING"}')
    (old / "adapter_model.bin").write_bytes(b"a pickle")
    hub.folders["me/old"] = old
    commands = [f"import hf:{name}" for name in ("me/nothing", "me/old", "org/model", "me", "me/old@..", "me/old@v9")]
    nothing, pickled, model, name, dots, revision = ask(hub, tmp_path, *commands)
    assert "error: the hub has no model me/nothing, or it is private" in nothing.err
    assert "or give a prompt's file or folder" in nothing.err
    assert "error: me/old has no adapter_model.safetensors, and pickles are not fetched from the hub" in pickled.err
    assert "error: org/model has neither adapter_config.json nor prompt.safetensors nor prompt.words.json" in model.err
    for result in (name, dots):
        assert (result.code, "is no prompt on the hub" in result.err) == (2, True)
    assert "error: me/old has no revision 'v9' on the hub" in revision.err
    assert "model.safetensors" not in hub.asked
