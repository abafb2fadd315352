"""Questions to an OpenAI-compatible server that takes embeddings in place of a text: vLLM's, and what it answers.

Nothing is sent but to the address that the user gives: no redirection is followed, and the key of the server comes from
the environment and goes nowhere else.
"""

import base64
import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from jaxtyping import Float
from torch import Tensor

from ptx.errors import PtxError, UsageError, shown
from ptx.formats.torch_files import to_bytes

KEY = "VLLM_API_KEY"  # the variable that the server itself reads
FLAG = "--enable-prompt-embeds"
TOGETHER = 16  # inputs of a request: the server computes them side by side
LONGEST = 600  # seconds
MOST = 2**24  # bytes of an answer


class Completion(NamedTuple):
    """What the server writes behind an input, and why it stopped there."""

    text: str
    finish_reason: str | None


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


def address(url: str) -> str:
    """Where the server's API begins, as .../v1. Raises UsageError for what is no address of a web server."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable() or " " in url:
        raise UsageError(f"--url {shown(url)!r} is no address of a server", "write it like --url http://localhost:8000")
    if parts.username or parts.password:
        raise UsageError("--url holds a name or password", f"leave them out, and set {KEY} in the environment")
    return url.rstrip("/").removesuffix("/completions").removesuffix("/v1") + "/v1"


def completions(
    url: str, model: str, inputs: Sequence[Float[Tensor, "_ d"]], *, max_tokens: int
) -> Iterator[Completion]:
    """The likeliest continuation of each input, in their order. `model` is what the server calls it. Raises PtxError
    for a server that is not there, refuses, or answers otherwise."""
    base = address(url)
    for group in (inputs[first : first + TOGETHER] for first in range(0, len(inputs), TOGETHER)):
        asked = {
            "model": model,
            "prompt_embeds": [base64.b64encode(to_bytes(vectors)).decode("ascii") for vectors in group],
            "max_tokens": max_tokens,
            "temperature": 0,
        }
        answer = _ask(f"{base}/completions", base, model, json.dumps(asked).encode("ascii"))
        try:
            choices = sorted(answer["choices"], key=lambda choice: choice["index"])
            found = [Completion(choice["text"], choice.get("finish_reason")) for choice in choices]
            if len(found) != len(group) or not all(isinstance(one.text, str) for one in found):
                raise ValueError
        except (KeyError, TypeError, ValueError, AttributeError):
            raise _strange(base) from None
        yield from found


def _ask(where: str, base: str, model: str, content: bytes | None) -> Any:
    """What the server answers, as JSON. Raises PtxError."""
    headers = {"Content-Type": "application/json", "User-Agent": "ptx"}
    if key := os.environ.get(KEY):
        headers["Authorization"] = f"Bearer {key}"
    start = f"start one: vllm serve MODEL {FLAG}; or check --url"
    try:
        request = urllib.request.Request(where, content, headers)
        with urllib.request.build_opener(_Stay).open(request, timeout=LONGEST) as answer:
            return json.loads(answer.read(MOST))
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(error, base, model) from None
    except urllib.error.URLError as error:
        reason = getattr(error.reason, "strerror", None) or error.reason
        raise PtxError(f"no server answers at {base}: {reason}", start) from None
    except (OSError, http.client.HTTPException) as error:
        raise PtxError(
            f"the server at {base} broke off: {error or type(error).__name__}", "try again, or see its log"
        ) from None
    except ValueError as error:  # no JSON; or a key with a line break in it
        if "header" in str(error):
            raise PtxError(f"{KEY} holds characters that no key has", "set it again") from None
        raise _strange(base) from None


def _strange(base: str) -> PtxError:
    hint = f"is it an OpenAI-compatible server? ptx was tried with what vLLM answers: vllm serve MODEL {FLAG}"
    return PtxError(f"the server at {base} does not answer with completions", hint)


def _refusal(error: urllib.error.HTTPError, base: str, model: str) -> PtxError:
    """Why a server refuses, and what to do."""
    said = _message(error)
    what = f"the server at {base} says {error.code}{f': {said}' if said else ''}"
    if error.code in (401, 403):
        given = "holds another key than the server's" if os.environ.get(KEY) else "is not set"
        return PtxError(what, f"set {KEY} in the environment to the server's key: it {given}")
    if error.code == 404 and "model" in said:
        return PtxError(what, f"name one of the server's with --model: {_models(base, model)}")
    if FLAG in said:
        return PtxError(what, f"start the server with that flag: vllm serve MODEL {FLAG}")
    if "hidden_size" in said or "max_model_len" in said or "context length" in said:
        return PtxError(what, f"is {model} there the model that the prompt is for? See its --max-model-len, too")
    if error.code in (301, 302, 303, 307, 308):
        return PtxError(
            f"the server at {base} has moved to {shown(str(error.headers['Location']))}", "give that as --url"
        )
    if error.code == 404:
        return PtxError(what, "give the address before /v1/completions: --url http://localhost:8000")
    if error.code in (400, 422):
        return PtxError(what, f"ptx sends prompt_embeds, which vLLM takes: vllm serve MODEL {FLAG}")
    return PtxError(what, "see the server's log, or try again later")


def _message(error: urllib.error.HTTPError) -> str:
    """What an error's body says; vLLM's is {"error": {"message": ...}}, to a wrong key {"error": "Unauthorized"}."""
    try:
        said = json.loads(error.read(MOST))
        found = said.get("error", said.get("detail", said.get("message", "")))
    except (ValueError, AttributeError, OSError, http.client.HTTPException):
        return ""
    if isinstance(found, dict):
        found = found.get("message", "")
    return shown(found if isinstance(found, str) else json.dumps(found))


def _models(base: str, model: str) -> str:
    try:
        found = [str(one["id"]) for one in _ask(f"{base}/models", base, model, None)["data"]]
    except (PtxError, KeyError, TypeError):
        return "its list cannot be had"
    return shown(", ".join(found)) or "it has none"
