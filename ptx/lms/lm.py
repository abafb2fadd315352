"""A frozen language model of any family: its word embeddings, and its predictions for inputs with a soft prompt."""

import functools
import itertools
import pickle
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from ptx.errors import PtxError, first_line
from ptx.lms.attention import widen
from ptx.lms.batches import Sizes, sizes_of
from ptx.lms.embeddings import WordEmbeddings, load_tokenizer, place, special_ids
from ptx.lms.families import blank_token, load_network, matrix_of
from ptx.lms.frames import added_frame
from ptx.lms.heads import logits_at
from ptx.lms.inputs import Batch, Row, collate, frame, rows
from ptx.lms.kept import Kept, bound, prefix, read, reads_on, room, tokens
from ptx.lms.models import Model, unchanged
from ptx.lms.template import IN_A_SENTENCE, Context, check, context_of
from ptx.memory import what_is_free_goes_back
from ptx.suites import Fact, Task

FLOAT32 = "float32"
UNBOUNDED = 1_000_000  # positions of a model that has no table of them (BLOOM's and T5's distances)


class LanguageModel(WordEmbeddings):
    """A pretrained LM in evaluation mode, without gradients on its weights. `dtype` is what it computes in.

    Raises PtxError for a checkpoint that lacks a language-model head, a tokenizer without the token that stands for the
    answer, and a network that cannot be given embeddings in place of tokens.
    """

    kept: Kept | None = None  # see `keep`

    def __init__(self, model: Model, device: str = "cpu", dtype: str = FLOAT32) -> None:
        tokenizer = load_tokenizer(model.path)
        network: Any
        network, self.kind = load_network(model, getattr(torch, dtype))
        self.network: PreTrainedModel = network.to(device)
        widen(self.network)
        self.blank = blank_token(model.name, tokenizer, self.kind)
        self.added = added_frame(model)
        super().__init__(model.name, tokenizer, matrix_of(network))
        self._check_embeddings_stand_for_tokens()

    @property
    def causal(self) -> bool:
        return self.kind == "causal"

    @functools.cached_property
    def sizes(self) -> Sizes:
        """What the memory of a forward pass depends on."""
        return sizes_of(self.network)

    @functools.cached_property
    def max_length(self) -> int:
        """The longest input in tokens. RoBERTa and its kin number positions from padding_idx + 1."""
        config = self.network.config.get_text_config()
        offsets = any(hasattr(m, "create_position_ids_from_inputs_embeds") for m in self.network.modules())
        longest = getattr(config, "max_position_embeddings", None) or UNBOUNDED
        return longest - (config.pad_token_id + 1 if offsets and config.pad_token_id is not None else 0)

    @property
    def pad_id(self) -> int:
        """Padding is never attended to, so that any token serves where the tokenizer has none."""
        return self.tokenizer.pad_token_id or 0

    @property
    def decoder_start(self) -> int:
        """The token that an encoder-decoder's decoder begins with; T5's begins with padding."""
        start = getattr(self.network.config, "decoder_start_token_id", None)
        return self.pad_id if start is None else start

    @functools.cached_property
    def frame(self) -> tuple[list[int], list[int]]:
        """The tokens around every text."""
        before, behind = ([*map(self.tokenizer.get_vocab().__getitem__, tokens)] for tokens in self.added)
        return (before, behind) if before or behind else frame(self.tokenizer)

    def rows(self, template: str, subjects: Sequence[str], **more: Any) -> list[Row]:
        """One input per subject (see inputs.rows). Raises PtxError for a token that has no word embedding."""
        more |= {"max_length": self.max_length, "causal": self.causal, "blank": self.blank, "around": self.frame}
        made = rows(self.tokenizer, template, subjects, **more)
        self.check_ids({i for row in made for i in row.ids}, template)
        return made

    def collate(self, batch: Sequence[Row]) -> Batch:
        """Rows padded on the right, where a causal LM does not look, whatever its tokenizer asks for: on the left,
        recurrent ones (RWKV, RecurrentGemma) would read the padding, and others count it as positions."""
        return collate(batch, self.pad_id)

    @functools.cached_property
    def _known(self) -> dict[tuple[tuple[str, ...], Context], Tensor]:
        """A command asks for few lists of words, and for these again and again."""
        return {}

    def context(self, template: str) -> Context:
        """What the answer touches in a template, as this kind of model reads it. Raises PtxError for a wrong one."""
        return context_of(check(template, causal=self.causal))

    def answer_ids(self, words: tuple[str, ...], context: Context = IN_A_SENTENCE) -> Int[Tensor, " k"]:
        """The token that each word is as an answer in a context, -1 where it is several."""
        if (words, context) not in self._known:
            found = self.words(words, context)
            ids = [found.get(word, -1) for word in words]
            self._known[words, context] = torch.tensor(ids, dtype=torch.long, device=self.device)
        return self._known[words, context]

    def distinct(self, words: tuple[str, ...]) -> tuple[tuple[str, ...], dict[str, int]]:
        """Of words that are one token here the first one each, and the place of every word among these.

        Only a set that was kept as it is (`--keep-words`) has two words of one token.
        """
        tokens: list[int] = self.answer_ids(words).tolist()
        firsts: dict[int, str] = {}
        for word, token in zip(words, tokens, strict=True):
            firsts.setdefault(token, word)
        place = {token: i for i, token in enumerate(firsts)}
        return tuple(firsts.values()), {word: place[token] for word, token in zip(words, tokens, strict=True)}

    def label_ids(self, task: Task, context: Context = IN_A_SENTENCE) -> dict[str, int]:
        """Label word -> token id, in the task's order. Raises PtxError for a word that is not one token there."""
        found = self.words(task.labels, context)
        for word in task.labels:
            if word not in found:
                pieces = self.tokenizer.tokenize(f"{context.before}{word}")
                spelled = f"{len(pieces)} tokens in {self.name} ({' '.join(pieces)})"
                where = "" if context == IN_A_SENTENCE else " where the template puts it"
                hint = "choose another word for this label in the suite's file"
                raise PtxError(f"task {task.name}: the label word {word!r} is {spelled}{where}", hint)
        return {word: found[word] for word in task.labels}

    def scores(
        self,
        rows: Sequence[Row],
        prompts: Float[Tensor, "b m d"] | None = None,
        tokens: Int[Tensor, " k"] | None = None,
    ) -> Float[Tensor, "b _"]:
        """Scores of `tokens` (of every token, if None) as the answers of rows, in float32; row i holds `prompts[i]`."""
        if self.kept is None or prompts is None or not (known := self.kept.known(rows, prompts.shape[1])):
            return self.logits(self.collate(rows), prompts, tokens)
        if len(known) == len(rows):
            return self.kept.logits(rows, prompts, tokens)
        rest = sorted({*range(len(rows))}.difference(known))
        found = self.kept.logits([rows[i] for i in known], prompts[known], tokens)
        scores = found.new_empty(len(rows), found.shape[1])
        scores[known], scores[rest] = found, self.logits(self.collate([rows[i] for i in rest]), prompts[rest], tokens)
        return scores

    def keep(self, rows: Sequence[Row]) -> None:
        """These inputs will be read again and again: what stands before the prompt in them is read now, where that is
        possible (see kept.py), and `scores` goes on from there. It replaces what was kept before."""
        self.kept = None
        if self.causal and any(map(prefix, rows)) and self._reads_on:
            self.kept = read(self.network, rows, bound(self.network))

    def keeps(self, rows: Sequence[Row]) -> bool:
        """Whether `keep` has room for all of these inputs; so, too, where it keeps none whatever they are."""
        found = tokens(rows) if self.causal else 0
        return not found or not self._reads_on or found <= self._room

    def _tokens(self, count: int) -> tuple[int, ...]:
        """The first ordinary ones, to try a network with."""
        special = special_ids(self.tokenizer)
        return tuple(itertools.islice((i for i in range(len(self.matrix)) if i not in special), count))

    @functools.cached_property
    def _room(self) -> int:
        return room(self.network, *self._tokens(1))

    @functools.cached_property
    def _reads_on(self) -> bool:
        ids = [*self._tokens(4)]
        random = torch.randn(3, 3, self.matrix.shape[1], generator=torch.Generator().manual_seed(0))
        prompts = self.statistics[1] * random.to(self.device)
        return reads_on(self.network, ids, prompts, lambda rows, given: self.logits(self.collate(rows), given))

    def logits(
        self, batch: Batch, prompts: Float[Tensor, "b m d"] | None = None, tokens: Int[Tensor, " k"] | None = None
    ) -> Float[Tensor, "b _"]:
        """As `scores`, of rows that are padded already: at each row's answer position, the prompt at its place."""
        ids = batch.ids.to(self.device)
        words = self.network.get_input_embeddings()
        embedded = words(ids)
        if prompts is not None:
            b, m, _ = prompts.shape
            rows = torch.arange(b, device=self.device)[:, None].expand(b, m)
            columns = batch.prompt_at.to(self.device)[:, None] + torch.arange(m, device=self.device)
            # Gemma and some BARTs scale what they look up in the matrix; a prompt is in the matrix's own scale.
            scaled = prompts * getattr(words, "embed_scale", 1.0)
            embedded = embedded.index_put((rows, columns), scaled.to(embedded.dtype))
        attention = batch.attention.to(self.device)
        at = torch.arange(ids.shape[1], device=self.device)[None, :] == batch.answer_at.to(self.device)[:, None]
        more, at = self._decoder_inputs(embedded, at)
        return logits_at(self.network, at, tokens, inputs_embeds=embedded, attention_mask=attention, **more)

    def _decoder_inputs(
        self, embedded: Float[Tensor, "b n d"], at: Bool[Tensor, "b n"]
    ) -> tuple[dict[str, Any], Bool[Tensor, "b n_out"]]:
        """What an encoder-decoder's decoder is fed, and where it answers; of other models, nothing and `at`.

        BART rewrites its whole input with the mask filled in. Its decoder is fed the encoder's input, prompt included,
        moved on by one, so that it predicts at the mask's position what fills it, having read what stands before. T5
        writes the sentinel and then what it stands for.
        """
        if self.kind not in ("infill", "span"):
            return {}, at
        b = len(embedded)
        start = torch.full((b, 1), self.decoder_start, device=self.device)
        if self.kind == "infill":
            fed = torch.cat([self.network.get_input_embeddings()(start), embedded[:, :-1]], 1)
            return {"decoder_inputs_embeds": fed, "use_cache": False}, at
        fed = torch.cat([start, torch.full_like(start, self.blank or 0)], 1)
        second = torch.tensor([[False, True]], device=self.device)
        return {"decoder_input_ids": fed, "use_cache": False}, second.expand(b, 2)

    @torch.no_grad()
    def _check_embeddings_stand_for_tokens(self) -> None:
        """Raise PtxError for a network that treats embeddings otherwise than the tokens they are of (some read the
        tokens a second time), lets padding change an answer, looks ahead though it is causal, or does not see the
        prompt (MRA's attention is nothing without its own CUDA kernel).

        Two forward passes over a few tokens: padded embeddings, the first as a prompt, and the tokens alone.
        """
        network = f"{self.name} ({type(self.network).__name__})"
        another = "choose a model of another family; docs/models.md names those that were tested"
        usable = self._tokens(6)
        answer_at = 2
        row, longer = Row(usable[:4], 0, answer_at), Row(usable, 0, answer_at)
        ids = torch.tensor([row.ids], device=self.device)
        seen = ids[:, : answer_at + 1] if self.causal else ids
        more: dict[str, Any] = {"attention_mask": torch.ones_like(seen)}
        if self.kind in ("infill", "span"):
            start = torch.tensor([[self.decoder_start]], device=self.device)
            fed = ids[:, :-1] if self.kind == "infill" else torch.full_like(start, self.blank or 0)
            more["decoder_input_ids"] = torch.cat([start, fed], 1)
        try:
            got, other = self.logits(self.collate([row, longer]), self.matrix[[usable[0], usable[-1]], None].float())
            expected = self.network(input_ids=seen, **more).logits[0, 1 if self.kind == "span" else answer_at].float()
        except (TypeError, AttributeError, NotImplementedError, AssertionError, IndexError) as error:
            raise PtxError(f"{network} cannot be given embeddings: {error}", another) from None
        if not torch.isfinite(expected).all():
            hint = "use --dtype float32, or bfloat16 in place of float16; if it is float32, the weights are damaged"
            raise PtxError(f"{self.name} answers with values that are not finite in {self.network.dtype}", hint)
        difference = (got - expected).abs().max() / expected.abs().max()
        if not difference < torch.finfo(self.network.dtype).eps ** 0.5:
            raise PtxError(
                f"{network} answers otherwise when it is padded or given embeddings in place of tokens, or is a causal "
                "LM that looks ahead",
                another,
            )
        if torch.equal(got, other):  # whose prompts differ
            raise PtxError(f"{network} answers without looking at the prompt", another)


def fact_rows(
    model: LanguageModel, task: Task, facts: Sequence[Fact], template: str, *, prompt_length: int
) -> list[Row]:
    """The inputs of facts of a task. Raises PtxError for a text to classify that is longer than the model takes."""

    def refuse(number: int, length: int) -> PtxError:
        where = f"{facts[number].where}: " if facts[number].where else ""
        message = f"{where}a text of {length} tokens does not fit into the {model.max_length} positions of {model.name}"
        return PtxError(message, "shorten it, or add --truncate to cut such texts")

    return model.rows(
        task.asked_as(template),
        [fact.subject for fact in facts],
        prompt_length=prompt_length,
        refuse=refuse if task.labels and not task.truncate else None,
    )


def load_model(model: Model, device: str, dtype: str = FLOAT32) -> LanguageModel:
    """The model on a device ("auto": a GPU if there is one). The last one is kept for the next stage."""
    return _load_model(model, place(device), dtype)


@functools.lru_cache(maxsize=1)
def _load_model(model: Model, device: str, dtype: str) -> LanguageModel:
    try:
        with unchanged(model):
            loaded = LanguageModel(model, device, dtype)
        what_is_free_goes_back()
        return loaded
    except pickle.UnpicklingError as error:
        what = f"hold more than tensors, which ptx does not unpickle: {first_line(error)}"
        hint = "do not trust this checkpoint; a sound one can be saved again with `save_pretrained`, as safetensors"
        raise PtxError(f"the weights of {model.name} {what}", hint) from error
    except PtxError:
        raise
    except Exception as error:  # transformers' classes raise most kinds for a config.json that is not theirs
        hint = "choose a masked or causal LM and a --device that exist; `ptx models` lists models"
        raise PtxError(f"cannot load {model.name} as a language model: {first_line(error)}", hint) from error
