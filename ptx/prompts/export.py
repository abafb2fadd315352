"""A prompt of the cache as a file or folder for other programs, with a card; complete when it appears, or not there."""

import dataclasses
import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from ptx import formats
from ptx.cache import Artifact, Store
from ptx.errors import PtxError, UsageError
from ptx.files import put_folder
from ptx.formats import card, koboldai, npy, peft, torch_files
from ptx.formats.card import Record
from ptx.formats.matrix import unscaled
from ptx.formats.tensors import to_bytes
from ptx.lms.embeddings import lead, load_embeddings
from ptx.lms.families import factor_by_class, kind_of, read_config
from ptx.lms.inputs import frame
from ptx.lms.models import Model, hub_commit
from ptx.prompts.imported import vectors_digest
from ptx.prompts.record import for_others, model_of, record_of
from ptx.prompts.usage import usage
from ptx.prompts.whole import whole_inputs
from ptx.stages.tune import FILE


@dataclass(frozen=True)
class Export:
    """A prompt on its way out, in the scale of its format. `opening` are the embeddings of the tokens that every input
    begins with (BOS), `base` is what other programs call the model: its hub id, else the name that the user gave it."""

    prompt: Float[Tensor, "m d"]
    record: Record
    model: Model
    base: str
    causal: bool
    opening: Float[Tensor, "b d"]
    whole: Sequence[tuple[str, Float[Tensor, "_ d"]]] = ()  # subjects, and their inputs with the prompt in them


def _to_peft(export: Export) -> tuple[dict[str, bytes], Record]:
    """PEFT puts its vectors before the tokens, BOS too; so BOS is exported as the first of them."""
    import torch

    _prepends("PEFT", export)
    record = dataclasses.replace(export.record, leading=len(export.opening))
    whole = torch.cat([export.opening, export.prompt])
    config = read_config(export.model).get_text_config()
    layers, heads = (getattr(config, name, None) for name in ("num_hidden_layers", "num_attention_heads"))
    return peft.files(whole, base=export.base, revision=record.commit, layers=layers, heads=heads), record


def _to_koboldai(export: Export) -> tuple[bytes, Record]:
    _prepends("KoboldAI", export)
    if len(export.opening):
        why = f"inputs of {export.model.name} begin with a special token, and KoboldAI does not say where it puts that"
        raise PtxError(why, "use --to peft or --to vllm, which keep the order")
    if len(export.prompt) > koboldai.MOST:
        raise PtxError(f"KoboldAI takes at most {koboldai.MOST} vectors", "use --to npy, which holds any number")
    record = export.record
    name, about = f"{record.task} by ptx", f"{record.suite} {record.task}, {record.method}"
    return koboldai.to_bytes(export.prompt, name=name, supported=export.base, description=about), record


def _to_vllm(export: Export) -> tuple[bytes | dict[str, bytes], Record]:
    """Whole inputs, if there are any: a file each, and a list of them. vLLM takes tensors as torch.save writes them."""
    if not export.causal:
        raise PtxError(f"vLLM generates text, and {export.model.name} is no causal LM", "use --to safetensors or npy")
    if not export.whole:
        return torch_files.to_bytes(export.prompt), export.record
    names = [f"{number}.pt" for number, _ in enumerate(export.whole, start=1)]
    lines = [{"file": name, "input": text} for name, (text, _) in zip(names, export.whole, strict=True)]
    listed = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode("utf-8")
    files = {name: torch_files.to_bytes(vectors) for name, (_, vectors) in zip(names, export.whole, strict=True)}
    return {LISTED: listed, **files}, export.record


def _prepends(program: str, export: Export) -> None:
    """Raise PtxError for a prompt that a program which puts it before the text of a causal LM cannot express."""
    if not export.causal:
        why = f"{program} has such prompts for causal LMs only, and {export.model.name} is none"
        raise PtxError(why, "use --to safetensors or --to npy")
    if export.record.layout != "prefix":
        why = f"{program} puts prompts before the text, and this one stands behind it ({export.record.input})"
        raise PtxError(why, "tune one with --layout prefix, or use --to safetensors, npy or vllm")


LISTED = "inputs.jsonl"
# Each gives the file's bytes, or those of a folder's files by name, and what the card is to say.
WRITERS: Mapping[str, Callable[[Export], tuple[bytes | dict[str, bytes], Record]]] = {
    "peft": _to_peft,
    "optiprompt": lambda export: (npy.to_optiprompt(export.prompt), export.record),
    "npy": lambda export: (npy.to_bytes(export.prompt), export.record),
    "safetensors": lambda export: (to_bytes(export.prompt), export.record),
    "vllm": _to_vllm,
    "koboldai": _to_koboldai,
}
# Programs that feed the vectors to the network in place of what its embedding layer gives: a factor of that layer must
# be in them. The other formats hold them as ptx does, in the scale of the layer's matrix.
BEHIND = ("peft", "vllm", "koboldai")


def export_prompt(
    artifact: Artifact, store: Store, to: str, output: Path,
    *, force: bool, dry_run: bool, inputs: Sequence[str] = (), repo: str = "",
) -> Export:  # fmt: skip
    """Write a prompt in a foreign format, and its card; for vLLM, with the `inputs` of these subjects. `repo` is where
    the card is to say that it is on the hub. Raises PtxError for what the format cannot express, and, unless `force`,
    where something stands already."""
    if inputs and to != "vllm":
        raise UsageError("--inputs and --file go with --to vllm", "leave them out")
    model = model_of(artifact)
    prompt, record = formats.read_prompt(artifact.path / FILE), record_of(artifact, store)
    words = load_embeddings(model, "cpu")
    begin, _ = frame(words.tokenizer)
    causal = kind_of(model.name, read_config(model)) == "causal"
    hub, _ = hub_commit(model)
    base = hub or model.name
    opening, factor = words.matrix[begin].float(), factor_by_class(model)
    if to in BEHIND and factor != 1:
        prompt, opening = prompt * factor, opening * factor
        # What is read back gives the same products, but need not be the same to the last bit itself.
        record = dataclasses.replace(record, factor=factor, sha256=vectors_digest(unscaled(prompt, factor)))
    whole = [*zip(inputs, whole_inputs(artifact, model, inputs), strict=True)] if inputs and causal else []
    export = Export(prompt, record, model, base, causal, opening, whole)
    content, record = WRITERS[to](export)
    record = for_others(record, hub)
    library = "peft" if to == "peft" else None
    tags = [to, f"base_model:adapter:{hub}"] if library and hub else [to]  # as PEFT itself has them
    space = lead(words.tokenizer) if "[V] [X]" in record.input else ""
    use = "vllm, inputs" if whole else to
    how = usage(use, record, base, repo or output.name, factor=factor, space=space, back=f"hf:{repo}" if repo else "")
    page = card.render(record, usage=how, tags=tags, base=hub, library=library).encode("utf-8")
    where = output / card.FOLDER_CARD if isinstance(content, dict) else output.with_name(output.name + ".md")
    for path in (output, where):
        if os.path.lexists(path) and not force:
            raise PtxError(f"{path} exists already", "choose another --output, or add --force to replace it")
    if dry_run:
        return export
    try:
        output.absolute().parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, dict):
            _write_folder(output, {**content, card.FOLDER_CARD: page})
        else:
            _write_file(where, page)
            _write_file(output, content)
    except OSError as error:
        raise PtxError(f"cannot write {output}: {error.strerror or error}", "choose another --output") from None
    return export


def _write_file(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """A folder that is in the way is replaced only if it holds nothing but such files."""
    partial = folder.absolute().with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.new")
    if folder.exists() and (not folder.is_dir() or {path.name for path in folder.iterdir()} - {*files}):
        raise PtxError(f"{folder} is no adapter, or holds other files too", "choose another --output")
    try:
        partial.mkdir()
        for name, content in files.items():
            _write_file(partial / name, content)
        put_folder(partial, folder.absolute())
    finally:
        shutil.rmtree(partial, ignore_errors=True)
