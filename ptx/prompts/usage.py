"""How to use an exported prompt: a few lines of Python or of a shell for each format, in Markdown, for its card."""

import shlex

from ptx.formats.card import Record
from ptx.lms.known import zoo
from ptx.lms.places import local_gguf
from ptx.media import code, markdown, quoted

USES = {
    "peft": """```python
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
{model}
tokenizer = AutoTokenizer.from_pretrained(base{pin})
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base{pin}), {name})
inputs = tokenizer({text}, add_special_tokens=False, return_tensors="pt")
print(tokenizer.decode(model(**inputs).logits[0, -1].argmax()))
```

{note} Texts {begin} and get no special tokens; pad them on the right.""",
    "vllm": """vLLM takes the embeddings of a whole input; the file holds those of the prompt.

```python
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
{model}
tokenizer = AutoTokenizer.from_pretrained(base{pin})
embed = AutoModelForCausalLM.from_pretrained(base{pin}).get_input_embeddings()
prompt = torch.load({name}, weights_only=True)
begin = embed(torch.tensor([i for i in tokenizer("")["input_ids"] if i == tokenizer.bos_token_id], dtype=torch.long))
text = embed(tokenizer({text}, add_special_tokens=False, return_tensors="pt")["input_ids"][0])
prompt_embeds = torch.cat([{order}])  # for vllm.LLM(model=..., enable_prompt_embeds=True)
```""",
    "vllm, inputs": """The files hold whole inputs as embeddings, which vLLM takes in place of texts; inputs.jsonl
says of which subjects.

```python
import json
import pathlib
import torch
from vllm import LLM, SamplingParams
{model}
folder = pathlib.Path({name})
inputs = [json.loads(line) for line in (folder / "inputs.jsonl").read_text("utf-8").splitlines()]
asked = [{{"prompt_embeds": torch.load(folder / one["file"], weights_only=True)}} for one in inputs]
model = LLM({pinned}, enable_prompt_embeds=True)
for one, answer in zip(inputs, model.generate(asked, SamplingParams(max_tokens=1, temperature=0))):
    print(one["input"], answer.outputs[0].text)
```

A server that was started with `--enable-prompt-embeds` takes the base64 of a file as `prompt_embeds` of a completion:
{request} sends such for any subject.""",
    "optiprompt": "OptiPrompt and PTfer read it as `prompt_vecs.npy` with `--num_vectors {record.vectors}`; the "
    "remaining rows are zeros and not used.",
    "koboldai": "Put it into KoboldAI's `softprompts` folder and choose it there with {base} loaded.",
    "npy": "Read `numpy.load` as {matrix}.",
    "safetensors": "Read the tensor `prompt`, with `safetensors.torch.load_file`, as {matrix}.",
}
NOTES = (
    "The prompt stands before the text.",
    "The first vectors are the embeddings of the tokens that every input of this model begins with, since PEFT puts "
    "its vectors before those.",
)


def usage(to: str, record: Record, base: str, name: str, *, factor: float, space: str, back: str = "") -> str:
    """`base` is the model's name for other programs, `name` that of the file or folder, `factor` what the model's
    embedding layer multiplies by, `space` what its tokenizer wants before a text in the middle of a sentence, `back`
    what ptx is to import, if not `name`."""
    ours = base in zoo() or local_gguf(base)  # what ships lies in ptx's folder, what a GGUF file holds in its cache
    base, where = (record.model, "  # where that model lies") if record.local else (base, "")
    model, pin = f"\nbase = {quoted(base)}{where}", ""
    if record.commit:
        model, pin = f"\nbase, revision = {quoted(base)}, {quoted(record.commit)}", ", revision=revision"
    if ours:
        model = f"from ptx.lms.models import resolve\n\nbase = resolve({quoted(base)}).path{where}"
    prefix = record.layout == "prefix"
    matrix = f"a matrix of shape ({record.vectors}, {record.width}), float32"
    if factor != 1:
        matrix += f"; multiply it by {factor:.9g}, as the model's embedding layer does with words, for `inputs_embeds`"
    use = USES[to].format(
        record=record,
        base=markdown(base),
        name=quoted(name),
        model=model,
        pin=pin,
        matrix=matrix,
        note=NOTES[record.leading > 0],
        begin=f"begin {'with' if space else 'without'} a space",
        text=f'"{space}Dante"' if prefix else '"Dante"',
        order="begin, prompt, text" if prefix else "begin, text, prompt",
        pinned="base, revision=revision" if record.commit else "base",
        request=code(f'ptx request {record.key[:12]} "Dante" --url http://localhost:8000'),
    )
    if to == "vllm, inputs":  # which are no prompt
        return f"## Use\n\n{use}"
    return f"## Use\n\n{use}\n\nBack into ptx: {code('ptx import ' + shlex.quote(back or name))}."
