"""`ensemble`: no prompt, but all models asked of every fact: the product of what the sources answer and what each
fact changes in the target's answers to its text (stages/aims.py). It is what `distil` may hope for."""

from ptx.stages.methods.method import Method

USES = "the sources' models for every answer"
METHOD = Method(
    "ensemble",
    title=f"ensemble ({USES})",
    sources=None,
    needs=("prompts", "words"),
    options=("weights", "texts"),
    uses=USES,
)
