"""`ptx models` and `words`: what the names of models mean, and which words are one token there."""

from typing import Annotated

import typer

from ptx.cli.command import Command
from ptx.cli.options import Printing
from ptx.config.lists import names_in


def models(common: Printing) -> None:
    """List the models that ship with ptx and the aliases of the paper's models."""
    from ptx.lms.catalogue import catalogue

    Command(common).out.rows(catalogue())


def words(
    labels: Annotated[list[str], typer.Argument(help="Words, such as labels or objects.", metavar="WORD...")],
    models: Annotated[str, typer.Option(help="Models, comma-separated.", show_default=False)],
    common: Printing,
) -> None:
    """Say which words are one token in every model, as answers and label words must be.

    For each model "yes", the tokens that a word is, or which other word is the same token.
    """
    from ptx.lms.names import shown
    from ptx.lms.places import located
    from ptx.lms.spelling import one_token

    names = names_in(models)
    rows = one_token(names, labels)
    headers = {} if common.json else shown(map(located, names))
    Command(common).out.rows([{headers.get(located(name), name): row[name] for name in row} for row in rows])
