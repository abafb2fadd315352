"""How many words models share, as `ptx anchors` says it on stderr; the words themselves are the artifact."""

from collections.abc import Sequence

from ptx.cli.output import Output, aligned
from ptx.engine.build import Outcome
from ptx.lms.names import shown


def show(outcomes: Sequence[Outcome], out: Output) -> None:
    """A row for each model: its vocabulary, and the words that it shares with each model before it."""
    figures = [o.artifact.meta["metrics"] for o in outcomes if o.artifact and "pairs" in o.artifact.meta["metrics"]]
    if out.quiet or out.as_json or not figures:
        return
    vocabularies = figures[0]["vocabularies"]
    names = [of["model"] for of in vocabularies]
    short = shown(names)
    shared = {(a, b): n for a, b, n in figures[0]["pairs"]}
    rows = []
    for i, of in enumerate(vocabularies):
        pairs = [str(shared.get((name, of["model"]), "")) for name in names[:i]]
        pairs += [""] * (len(names) - 1 - len(pairs))
        rows.append([f"{i + 1} {short[of['model']]}", str(of["tokens"]), str(of["words"]), str(of["lacks"]), *pairs])
    header = ["model", "tokens", "words", "it alone lacks", *(f"with {i}" for i in range(1, len(names)))]
    out.console.print(aligned(header, rows))
    out.message(
        "words: one token in the middle of a sentence, and no mere piece; it alone lacks: words of all the others that "
        "are several tokens or unknown here; with N: words shared with that model"
    )
    if same := figures[0]["same_token"]:
        out.message(f"left out: {same} words that some model takes for a more frequent one (Paris and paris, say)")
