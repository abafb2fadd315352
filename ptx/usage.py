"""How to use an exported prompt: a few lines of Python or of a shell for each format, in Markdown, for its card."""

from __future__ import annotations

from ptx.formats.card import Record
from ptx.lms.models import zoo


def usage(to: str, record: Record, base: str, name: str) -> str:
    """`base` is the model's name for other programs, `name` that of the file or folder."""
    again = f"Back into ptx: `ptx import {name}`."
    if to == "peft":
        return f"## Use\n\n{_peft(record, base, name)}\n\n{again}"
    if to == "vllm":
        return f"## Use\n\n{_vllm(record, base, name)}\n\n{again}"
    if to == "optiprompt":
        return (
            f"## Use\n\nOptiPrompt and PTfer read it as `prompt_vecs.npy` with `--num_vectors {record.vectors}`; the "
            f"remaining rows are zeros and not used.\n\n{again}"
        )
    if to == "koboldai":
        return (
            f"## Use\n\nPut it into KoboldAI's `softprompts` folder and choose it there with {base} loaded.\n\n{again}"
        )
    what = "`numpy.load`" if to == "npy" else "the tensor `prompt`, with `safetensors.torch.load_file`,"
    return f"## Use\n\nRead {what} as a matrix of shape ({record.vectors}, {record.width}), float32.\n\n{again}"


def _model(base: str) -> str:
    """Where transformers finds the model: what ships with ptx lies in its folder."""
    return f'resolve("{base}").path' if base in zoo() else f'"{base}"'


def _head(base: str, *more: str) -> str:
    lines = ["import torch", *more, "from transformers import AutoModelForCausalLM, AutoTokenizer"]
    lines += ["from ptx.lms.models import resolve"] if base in zoo() else []
    return "\n".join([*lines, "", f"base = {_model(base)}", "tokenizer = AutoTokenizer.from_pretrained(base)"])


def _peft(record: Record, base: str, name: str) -> str:
    note = (
        "The first vectors are the embeddings of the tokens that every input of this model begins with, since PEFT "
        "puts its vectors before those."
        if record.leading
        else "The prompt stands before the text."
    )
    return f"""```python
{_head(base, "from peft import PeftModel")}
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), "{name}")
inputs = tokenizer(" Dante", add_special_tokens=False, return_tensors="pt")
print(tokenizer.decode(model(**inputs).logits[0, -1].argmax()))
```

{note} Texts begin with a space and get no special tokens; pad them on the right."""


def _vllm(record: Record, base: str, name: str) -> str:
    text, order = (
        ('" Dante"', "begin, prompt, text") if record.layout == "prefix" else ('"Dante"', "begin, text, prompt")
    )
    return f"""vLLM takes the embeddings of a whole input; the file holds those of the prompt.

```python
{_head(base)}
embed = AutoModelForCausalLM.from_pretrained(base).get_input_embeddings()
prompt = torch.load("{name}", weights_only=True)
begin = embed(torch.tensor([i for i in tokenizer("")["input_ids"] if i == tokenizer.bos_token_id], dtype=torch.long))
text = embed(tokenizer({text}, add_special_tokens=False, return_tensors="pt")["input_ids"][0])
prompt_embeds = torch.cat([{order}])  # for vllm.LLM(model=..., enable_prompt_embeds=True)
```"""
