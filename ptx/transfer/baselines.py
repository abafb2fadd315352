"""What a tuned prompt has to beat on dev: always the same answer, and the task's manual template."""

from collections import Counter
from dataclasses import dataclass

from ptx.errors import PtxError
from ptx.lms.lm import LanguageModel, fact_rows
from ptx.suites import Task
from ptx.transfer.scoring import Questions, accuracy, answer

NOWHERE = -1  # the place of an answer that cannot be given


@dataclass(frozen=True)
class Baselines:
    """Accuracies on the dev facts that tuning looks at: of the most frequent train answer, and of the manual template
    (None if there is none that this model can read)."""

    majority: float
    template: float | None


def baselines(model: LanguageModel, task: Task) -> Baselines:
    """Both for a task with train and dev facts, answered as in tuning: by any token, or by the label words."""
    facts = {split: task.splits[split] for split in ("train", "dev")}
    known = model.words({a for split in facts.values() for fact in split for a in fact.answers})
    counts = Counter(fact.known(known)[0] for fact in facts["train"] if fact.known(known))
    usual = min(counts, key=lambda word: (-counts[word], word))
    dev = [fact for fact in facts["dev"] if fact.known(known)]
    return Baselines(sum(usual in fact.answers for fact in dev) / len(dev), _template(model, task))


def _template(model: LanguageModel, task: Task) -> float | None:
    """Facts whose answer is several tokens where the template puts it count as wrong."""
    if not task.template:
        return None
    try:
        context = model.context(task.template)
        facts = task.splits["dev"]
        if task.labels:
            labels = model.label_ids(task, context)
            words, place = tuple(labels), {word: i for i, word in enumerate(labels)}
        else:
            words, place = None, model.words({a for fact in facts for a in fact.answers}, context)
        asked = [fact for fact in facts if fact.known(model.words(fact.answers))]
        rows = fact_rows(model, task, asked, task.template, prompt_length=0)
    except PtxError:  # a causal LM cannot read a template whose answer comes first
        return None
    right = [[place[word] for word in fact.answers if word in place] or [NOWHERE] for fact in asked]
    questions = Questions(rows, words, [first for first, *_ in right], [tuple(more) for _, *more in right])
    (answers,) = answer(model, [(questions, None)], ranked=False)
    return accuracy(questions, answers)
