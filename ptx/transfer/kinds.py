"""What a causal model calls the answers of a task: the words likeliest behind "Paris is a", in the mean over answers.

A text that names them ("was born in the city of") has the answer next where the template's words alone
("was born in") have many things: a year, "the", "a small town".

Answers are those of the model's own train facts, which its tuning reads anyway.
"""

from collections import Counter
from collections.abc import Sequence

import torch

from ptx.lms.batches import batches
from ptx.lms.embeddings import spelled
from ptx.lms.lm import LanguageModel

IS_A = "[X] is a [Y] ."
ANSWERS = 64  # that are asked at most, the most frequent ones
LOOKED_AT = 100  # tokens, of which many are no words, or parts of some
SHORTEST = 3  # letters


@torch.inference_mode()
def kinds(model: LanguageModel, answers: Sequence[str], count: int) -> list[str]:
    """At most `count` of them, the likeliest first: words in small letters that are one token. `answers` come as often
    as they are right."""
    ordered = sorted(Counter(answers).items(), key=lambda item: (-item[1], item[0]))[:ANSWERS]
    rows = sorted(model.rows(IS_A, [answer for answer, _ in ordered], prompt_length=0), key=lambda row: len(row.ids))
    parts = batches([len(row.ids) for row in rows], model.sizes)
    total = torch.stack([model.scores(rows[part]).softmax(-1).sum(0).cpu().double() for part in parts]).sum(0)
    likeliest = total.topk(min(LOOKED_AT, len(total))).indices.tolist()
    tokens = model.tokenizer.convert_ids_to_tokens(likeliest)
    words = [spelled(model.tokenizer, token) if token else "" for token in tokens]  # padding of the matrix has no token
    known = model.words([word for word in words if len(word) >= SHORTEST and word.isalpha() and word.islower()])
    return [word for word, i in zip(words, likeliest, strict=True) if known.get(word) == i][:count]
