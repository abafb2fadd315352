"""The zoo's tokenizers: one per family, each trained with that family's own algorithm on the zoo's sentences.

All objects are put in, so that each is one token everywhere; real vocabularies lack some, and `dropped` counts these.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from ptx.zoo.corpus import FAMILIES, read_facts, read_relations, sentences

VOCABULARY = 8_000
SUBJECT_WORDS = 2_000  # names that every family gets as one token, as frequent names are in real vocabularies
REPEATS = {"answers": 400, "names": 50}
# The special tokens of each family by what transformers calls them, in the order of their ids.
Special = dict[str, str | AddedToken]
BERT: Special = {
    "pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"
}  # fmt: skip
ALBERT = BERT | {"mask_token": AddedToken("[MASK]", lstrip=True)}
ROBERTA: Special = {
    "bos_token": "<s>", "cls_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "sep_token": "</s>",
    "unk_token": "<unk>", "mask_token": AddedToken("<mask>", lstrip=True),
}  # fmt: skip
GPT2: Special = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")


def training_lines() -> Iterator[str]:
    """Sentences of all families, then the words that all vocabularies should share, often enough to become one token.

    Each also stands before a full stop: the Unigram trainer considers only pieces of two different "words".
    """
    for family in FAMILIES:
        yield from (sentence.text for sentence in sentences(family, per_fact=1, seed=0))
    for group, words in shared_words().items():
        for word in words:
            for _ in range(REPEATS[group] // 2):
                yield word
                yield f"{word}."


def shared_words() -> dict[str, list[str]]:
    """`answers`: objects and template words; `names`: the most frequent, then shortest, subject words."""
    templates = {w for r in read_relations() for of in r["paraphrases"].values() for t in of for w in t.split()}
    facts = [fact for pairs in read_facts().values() for fact in pairs]
    answers = (templates | {obj for _, obj in facts}) - {"[X]", "[Y]"}
    subjects = Counter(word for sub, _ in facts for word in sub.split() if word.isalpha())
    names = sorted(subjects.keys() - answers, key=lambda word: (-subjects[word], len(word), word))
    return {"answers": sorted(answers), "names": names[:SUBJECT_WORDS]}


def wordpiece() -> PreTrainedTokenizerFast:
    """Cased WordPiece, as BERT's."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return _trained(tokenizer, BERT, trainers.WordPieceTrainer, limit_alphabet=200)


def unigram() -> PreTrainedTokenizerFast:
    """Cased Unigram with a metaspace, as ALBERT's SentencePiece model."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return _trained(tokenizer, ALBERT, trainers.UnigramTrainer, unk_token="[UNK]", max_piece_length=24)


def byte_level(special: Special) -> PreTrainedTokenizerFast:
    """Byte-level BPE, as RoBERTa's and GPT-2's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    return _trained(tokenizer, special, trainers.BpeTrainer, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())


def _trained(tokenizer: Tokenizer, special: Special, trainer: Any, **more: Any) -> PreTrainedTokenizerFast:
    """The tokenizer after training, which puts `cls_token` and `sep_token` around every text if there are such."""
    once = list({str(token): token for token in special.values()}.values())
    trainer = trainer(vocab_size=VOCABULARY, special_tokens=once, show_progress=False, **more)
    tokenizer.train_from_iterator(training_lines(), trainer)
    if "cls_token" in special:
        cls, sep = str(special["cls_token"]), str(special["sep_token"])
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{cls} $A {sep}",
            pair=f"{cls} $A {sep} $B:1 {sep}:1",
            special_tokens=[(token, tokenizer.token_to_id(token)) for token in (cls, sep)],
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def family_tokenizer(family: str) -> PreTrainedTokenizerFast:
    """The tokenizer of `bert`, `roberta`, `albert` or `gpt2`."""
    match family:
        case "bert":
            return wordpiece()
        case "roberta":
            return byte_level(ROBERTA)
        case "albert":
            return unigram()
        case "gpt2":
            return byte_level(GPT2)
    raise ValueError(f"no such family: {family}")
