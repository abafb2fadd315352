"""`ptx models`: what the names of models mean."""

from ptx.cli.command import Command
from ptx.config import CommonConfig


def models(common: CommonConfig) -> None:
    """List the models that ship with ptx and the aliases of the paper's models."""
    from ptx.lms.catalogue import catalogue

    Command(common).out.rows(catalogue())
