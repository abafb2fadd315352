"""A server on loopback that decodes embeddings as vLLM 0.33 does, and answers with a tiny model that is fed them."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import make_llama
from families import make
from foreign import save_safetensors
from transformers import AutoModelForCausalLM, AutoTokenizer

from ptx import api
from ptx.errors import PtxError, UsageError
from ptx.prompts import server
from ptx.prompts.server import address, completions

TEXTS = ["name1 word2", "name3", "word4 word5 name6"]
DISABLED = "You must set `--enable-prompt-embeds` to input `prompt_embeds`."


class Served(ThreadingHTTPServer):
    """`says`, if it is set, is answered to every completion: a status and a body."""

    def __init__(self, folder: str, key: str = "") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.network: Any = AutoModelForCausalLM.from_pretrained(folder)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.name, self.key = "tiny", key
        self.enabled = True
        self.says: tuple[int, Any] | None = None
        self.headers: dict[str, str] = {}
        self.got: list[torch.Tensor] = []
        self.asked: list[dict[str, Any]] = []
        self.paths: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def decoded(self, embed: str) -> torch.Tensor:
        """In the order of vLLM's checks. Raises ValueError with its messages."""
        if not self.enabled:
            raise ValueError(DISABLED)
        tensor = torch.load(io.BytesIO(base64.b64decode(embed, validate=True)), weights_only=True, map_location="cpu")
        tensor = tensor.squeeze(0) if tensor.dim() > 2 else tensor
        if tensor.dim() != 2:
            raise ValueError("`prompt_embeds` must be a 2D tensor of shape (num_tokens, hidden_size)")
        width = self.network.config.hidden_size
        if tensor.shape[1] != width:
            raise ValueError(f"`prompt_embeds` hidden_size {tensor.shape[1]} does not match the model's {width}.")
        if not tensor.is_floating_point():
            raise ValueError(f"`prompt_embeds` dtype {tensor.dtype} is not a floating-point type")
        return tensor.to(self.network.dtype)


class Handler(BaseHTTPRequestHandler):
    server: Served

    def do_GET(self) -> None:
        self.answer(200, {"data": [{"id": self.server.name}, {"id": "adapter"}]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(asked)
        self.server.paths.append(self.path)
        if self.server.key and self.headers.get("Authorization") != f"Bearer {self.server.key}":
            return self.answer(401, {"error": "Unauthorized"})
        if self.server.says:
            return self.answer(*self.server.says)
        if self.path != "/v1/completions":
            return self.answer(404, {"detail": "Not Found"})
        if asked["model"] != self.server.name:
            return self.refuse(404, f"The model `{asked['model']}` does not exist.")
        try:
            inputs = [self.server.decoded(embed) for embed in asked["prompt_embeds"]]
        except ValueError as error:
            return self.refuse(400, str(error))
        self.server.got += inputs
        texts = [self.server.tokenizer.decode(generated(self.server.network, x, asked["max_tokens"])) for x in inputs]
        choices = [{"index": i, "text": text, "finish_reason": "length"} for i, text in enumerate(texts)]
        return self.answer(200, {"object": "text_completion", "choices": choices[::-1]})

    def refuse(self, status: int, message: str) -> None:
        self.answer(status, {"error": {"message": message, "type": "BadRequestError", "param": None, "code": status}})

    def answer(self, status: int, said: Any) -> None:
        body = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **self.server.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@torch.inference_mode()
def generated(network: Any, embeds: torch.Tensor, count: int) -> list[int]:
    """The likeliest next token, again and again."""
    found: list[int] = []
    for _ in range(count):
        found.append(int(network(inputs_embeds=embeds[None]).logits[0, -1].argmax()))
        embeds = torch.cat([embeds, network.get_input_embeddings()(torch.tensor(found[-1:]))])
    return found


@contextlib.contextmanager
def serving(served: Served) -> Iterator[Served]:
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    yield served
    served.shutdown()
    served.server_close()
    thread.join()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("served")
    return {"llama": str(make_llama(root / "llama")), "gemma3": str(make("gemma3", root / "gemma3"))}


@pytest.fixture
def key(ptx, suite, tmp_path):
    """The key of an imported prompt of three random vectors."""

    def prompt(folder: str, layout: str = "prefix") -> str:
        width = AutoModelForCausalLM.from_pretrained(folder).config.hidden_size
        vectors = torch.randn(3, width, generator=torch.Generator().manual_seed(1))
        path = save_safetensors(tmp_path / "prompt", {"x": vectors})
        said = ["--model", folder, "--suite", suite, "--task", "R1", "--layout", layout, "--json"]
        return str(ptx("import", path, *said).lines[0]["key"])

    return prompt


@torch.inference_mode()
def reference(folder: str, text: str, layout: str) -> torch.Tensor:
    """The whole input as transformers embeds it: what every text begins with, the text with its space, the prompt at
    its place in the scale of the embeddings that the layer gives."""
    tokenizer, network = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    layer = network.get_input_embeddings()
    width = network.config.hidden_size
    prompt = torch.randn(3, width, generator=torch.Generator().manual_seed(1)) * getattr(layer, "scalar_embed_scale", 1)
    if layout == "prefix" and "gemma3" not in folder:  # whose tokenizer writes the space itself
        text = f" {text}"
    whole, bare = tokenizer(text)["input_ids"], tokenizer(text, add_special_tokens=False)["input_ids"]
    begin, ids = layer(torch.tensor(whole[: len(whole) - len(bare)], dtype=torch.long)), layer(torch.tensor(bare))
    return torch.cat([begin, ids, prompt] if layout == "postfix" else [begin, prompt, ids])


@pytest.mark.parametrize("family", ["llama", "gemma3"])
@pytest.mark.parametrize("layout", ["prefix", "postfix"])
def test_the_server_gets_what_transformers_embeds(ptx, key, folders, monkeypatch, family: str, layout: str) -> None:
    folder = folders[family]
    mine = key(folder, layout)
    monkeypatch.setattr(server, "TOGETHER", 2)
    monkeypatch.setattr("ptx.lms.lm.load_network", None)  # the network is not loaded
    with serving(Served(folder)) as served:
        asked = ["--url", served.url, "--model", "tiny", "--max-tokens", "3"]
        done = ptx("request", mine, *TEXTS, *asked, "--json")
        assert done.code == 0, done.err
        assert len(served.got) == 3
        for got, text in zip(served.got, TEXTS, strict=True):
            torch.testing.assert_close(got, reference(folder, text, layout), rtol=0, atol=1e-5)
        assert [len(each["prompt_embeds"]) for each in served.asked] == [2, 1]
        assert [{**each, "prompt_embeds": 0} for each in served.asked] == [
            {"model": "tiny", "prompt_embeds": 0, "max_tokens": 3, "temperature": 0}
        ] * 2
        expected = [
            served.tokenizer.decode(generated(served.network, reference(folder, text, layout), 3)) for text in TEXTS
        ]
        assert done.lines == [
            {"subject": text, "completion": said, "finish_reason": "length"}
            for text, said in zip(TEXTS, expected, strict=True)
        ]
        one = ptx("request", mine, TEXTS[0], "--url", served.url + "/v1/", "--model", "tiny")
        assert one.out.split() == ["subject", "completion", "finish_reason", *TEXTS[0].split(), *one.out.split()[5:]]
        assert served.asked[-1]["max_tokens"] == 1
        frame = api.request(*TEXTS, key=mine, url=served.url, model="tiny", max_tokens=3)
        assert frame.to_dict("records") == done.lines
        with pytest.raises(PtxError, match="no subjects"):
            api.request(key=mine, url=served.url)


def test_whole_inputs_as_files(ptx, key, folders, tmp_path) -> None:
    """Those that a server gets, in the form that vLLM reads, with a card that says how."""
    folder = folders["llama"]
    mine = key(folder)
    (tmp_path / "subjects.txt").write_text(f"{TEXTS[1]}\n\n{TEXTS[2]}\n")
    done = ptx("export", mine, "--to", "vllm", "--output", "inputs", "--inputs", TEXTS[0], "--file", "subjects.txt")
    assert done.code == 0, done.err
    listed = [json.loads(line) for line in Path("inputs/inputs.jsonl").read_text().splitlines()]
    assert listed == [{"file": f"{i}.pt", "input": text} for i, text in enumerate(TEXTS, start=1)]
    assert {path.name for path in Path("inputs").iterdir()} == {"README.md", "inputs.jsonl", "1.pt", "2.pt", "3.pt"}
    with serving(Served(folder)) as served:
        for line in listed:
            got = served.decoded(base64.b64encode(Path("inputs", line["file"]).read_bytes()).decode())
            torch.testing.assert_close(got, reference(folder, line["input"], "prefix"), rtol=0, atol=1e-5)
    card = Path("inputs/README.md").read_text()
    assert f'`ptx request {mine[:12]} "Dante" --url http://localhost:8000`' in card
    assert "Back into ptx" not in card
    compile(card.split("```python\n")[1].split("```")[0], "card", "exec")
    wrong = ptx("export", mine, "--to", "npy", "--output", "x", "--inputs", "a")
    assert (wrong.code, "--inputs and --file go with --to vllm" in wrong.err) == (2, True)


def test_other_models_are_refused(ptx, tiny, suite, tmp_path) -> None:
    path = save_safetensors(tmp_path / "prompt", {"x": torch.ones(3, 16)})
    said = ["--model", tiny["a"], "--suite", suite, "--task", "R1", "--json"]
    mine = ptx("import", path, *said).lines[0]["key"]
    for command in (
        ["request", mine, "name1", "--url", "http://127.0.0.1:9"],
        ["export", mine, "--to", "vllm", "--output", "x", "--inputs", "name1"],
    ):
        refused = ptx(*command)
        assert (refused.code, f"vLLM generates text, and {tiny['a']} is no causal LM" in refused.err) == (1, True)
    file = ptx("request", path, "name1", "--url", "http://127.0.0.1:9")
    assert (file.code, "store it first: `ptx import" in file.err) == (1, True)


def failure(url: str, model: str = "tiny", width: int = 16) -> PtxError:
    with pytest.raises(PtxError) as raised:
        list(completions(url, model, [torch.zeros(2, width)], max_tokens=1))
    return raised.value


def test_what_goes_wrong(folders, monkeypatch) -> None:
    monkeypatch.delenv(server.KEY, raising=False)
    served = Served(folders["llama"])
    base = f"{served.url}/v1"
    with serving(served):
        error = failure(served.url, "other")
        assert error.message == f"the server at {base} says 404: The model `other` does not exist."
        assert error.hint == "name one of the server's with --model: tiny, adapter"
        error = failure(served.url, width=8)
        assert "hidden_size 8 does not match" in error.message
        assert error.hint.startswith("is tiny there the model that the prompt is for?")
        served.enabled = False
        error = failure(served.url)
        assert error.message == f"the server at {base} says 400: {DISABLED}"
        assert error.hint == "start the server with that flag: vllm serve MODEL --enable-prompt-embeds"
        assert failure(f"{served.url}/x").hint == "give the address before /v1/completions: --url http://localhost:8000"
        for said, message, hint in (
            ((400, {"error": {"message": "prompt is required"}}), "says 400: prompt is required", "prompt_embeds"),
            ((500, b"<html>"), "says 500", "see the server's log"),
            ((200, b"<html>"), "does not answer with completions", "is it an OpenAI-compatible server?"),
            ((200, {"choices": []}), "does not answer with completions", "OpenAI-compatible"),
            ((200, {"choices": [{"index": 0, "text": None}]}), "does not answer with completions", "OpenAI-compatible"),
        ):
            served.says = said
            error = failure(served.url)
            assert message in error.message
            assert hint in error.hint
        served.says, served.headers = (307, b""), {"Location": "http://127.0.0.1:9/v1/completions"}
        asked = len(served.asked)
        assert "has moved to http://127.0.0.1:9/v1/completions" in failure(served.url).message
        assert len(served.asked) == asked + 1
    error = failure(served.url)
    assert error.message == f"no server answers at {base}: Connection refused"
    assert error.hint == "start one: vllm serve MODEL --enable-prompt-embeds; or check --url"


def test_a_key_comes_from_the_environment_and_goes_nowhere(ptx, key, folders, monkeypatch) -> None:
    mine = key(folders["llama"])
    monkeypatch.delenv(server.KEY, raising=False)
    with serving(Served(folders["llama"], "s3cret")) as served:
        asked = ["request", mine, "name1", "--url", served.url, "--model", "tiny", "-v"]
        without = ptx(*asked)
        assert "says 401: Unauthorized" in without.err
        assert "set VLLM_API_KEY in the environment to the server's key: it is not set" in without.err
        monkeypatch.setenv(server.KEY, "an0ther")
        wrong = ptx(*asked)
        assert "it holds another key than the server's" in wrong.err
        monkeypatch.setenv(server.KEY, "s3cret")
        right = ptx(*asked)
        assert right.code == 0, right.err
        for result in (without, wrong, right):
            assert not {"s3cret", "an0ther"} & {*result.out.split(), *result.err.split()}
    for file in Path("cache").rglob("*"):
        assert not file.is_file() or b"s3cret" not in file.read_bytes()


@pytest.mark.parametrize("url", ["localhost:8000", "file:///etc/passwd", "ftp://x", "http://", "http://a b", ""])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(UsageError, match="is no address of a server"):
        address(url)


def test_addresses() -> None:
    for url in ("http://a:1", "http://a:1/", "http://a:1/v1", "http://a:1/v1/", "http://a:1/v1/completions"):
        assert address(url) == "http://a:1/v1"
    assert address("https://a/vllm") == "https://a/vllm/v1"
    with pytest.raises(UsageError, match="holds a name or password"):
        address("http://me:secret@a")
