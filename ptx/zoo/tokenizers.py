"""The zoo's tokenizers: one per family, each trained with that family's own algorithm on the zoo's sentences."""

from collections import Counter
from collections.abc import Iterator

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from ptx.zoo.corpus import read_facts, read_relations, sentences

VOCABULARY = 8_000
SUBJECT_WORDS = 2_000  # names that every family gets as one token, as frequent names are in real vocabularies
REPEATS = {"answers": 400, "names": 50}


def training_lines() -> Iterator[str]:
    """Every sentence once, then the words that all vocabularies should share, often enough to become one token.

    Each also stands before a full stop: the Unigram trainer considers only pieces of two different "words".
    """
    yield from (sentence.text for sentence in sentences(per_fact=3, seed=0))
    for group, words in shared_words().items():
        for word in words:
            for _ in range(REPEATS[group] // 2):
                yield word
                yield f"{word}."


def shared_words() -> dict[str, list[str]]:
    """`answers`: objects and template words; `names`: the most frequent, then shortest, subject words."""
    templates = {w for r in read_relations() for t in r["paraphrases"] for w in t.split()}
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
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        training_lines(),
        trainers.WordPieceTrainer(
            vocab_size=VOCABULARY, special_tokens=special, show_progress=False, limit_alphabet=200
        ),
    )
    return _bert_like(tokenizer)


def unigram() -> PreTrainedTokenizerFast:
    """Cased Unigram with a metaspace, as ALBERT's SentencePiece model."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", AddedToken("[MASK]", lstrip=True)]
    tokenizer.train_from_iterator(
        training_lines(),
        trainers.UnigramTrainer(
            vocab_size=VOCABULARY, special_tokens=special, unk_token="[UNK]", max_piece_length=24, show_progress=False
        ),
    )
    return _bert_like(tokenizer)


def byte_level(*, causal: bool) -> PreTrainedTokenizerFast:
    """Byte-level BPE, with RoBERTa's special tokens or, for causal LMs, with GPT-2's single one."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>"] if causal else ["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True)]
    tokenizer.train_from_iterator(
        training_lines(),
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    if causal:
        end = "<|endoftext|>"
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=end, eos_token=end, unk_token=end)
    _wrap_in(tokenizer, "<s>", "</s>")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        mask_token=AddedToken("<mask>", lstrip=True),
    )


def _bert_like(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    _wrap_in(tokenizer, "[CLS]", "[SEP]")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
        pad_token="[PAD]",
        mask_token=AddedToken("[MASK]", lstrip=True),
    )


def _wrap_in(tokenizer: Tokenizer, cls: str, sep: str) -> None:
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {sep} $B:1 {sep}:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (cls, sep)],
    )


def family_tokenizer(family: str) -> PreTrainedTokenizerFast:
    """The tokenizer of `bert`, `roberta`, `albert` or `gpt2`."""
    match family:
        case "bert":
            return wordpiece()
        case "roberta":
            return byte_level(causal=False)
        case "albert":
            return unigram()
        case "gpt2":
            return byte_level(causal=True)
    raise ValueError(f"no such family: {family}")
