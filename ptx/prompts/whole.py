"""Whole inputs with a soft prompt in them as embeddings, which servers take in place of a text. Of the model its
word-embedding matrix and its tokenizer are read, and not the network."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from ptx import formats
from ptx.cache import Artifact
from ptx.errors import PtxError
from ptx.lms.embeddings import load_embeddings
from ptx.lms.families import factor_by_class, kind_of, read_config
from ptx.lms.inputs import rows
from ptx.lms.lm import UNBOUNDED
from ptx.lms.models import Model
from ptx.prompts.given import input_of
from ptx.stages.tune import FILE


def whole_inputs(artifact: Artifact, model: Model, subjects: Sequence[str]) -> list[Float[Tensor, "_ d"]]:
    """For each subject all that its model is fed up to the answer, what every input begins with (BOS) included, as the
    network takes it behind its embedding layer. Raises PtxError for a model that does not go on with a text."""
    if kind_of(model.name, read_config(model)) != "causal":
        hint = "ask it here: ptx predict; or transfer the prompt to a causal LM"
        raise PtxError(f"vLLM generates text, and {model.name} is no causal LM", hint)
    words, template = load_embeddings(model, "cpu"), input_of(artifact)
    prompt = words.fit(formats.read_prompt(artifact.path / FILE))
    longest = getattr(read_config(model).get_text_config(), "max_position_embeddings", None) or UNBOUNDED
    made = rows(words.tokenizer, template, subjects, prompt_length=len(prompt), max_length=longest, causal=True)
    words.check_ids({i for row in made for i in row.ids}, template)
    found = []
    for row in made:
        assert row.prompt_at is not None
        vectors = words.matrix[list(row.ids)].float()
        vectors[row.prompt_at : row.prompt_at + len(prompt)] = prompt
        found.append(vectors * factor_by_class(model))
    return found
