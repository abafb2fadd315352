"""The documents say what the program does."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def test_commands_md_is_what_help_says() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert (ROOT / "docs" / "commands.md").read_text("utf-8") == generate.commands(), (
        "run: python docs/generate.py --help-only"
    )


def readme_commands() -> list[str]:
    blocks = re.findall(r"```(?:bash|console)\n(.*?)```", README, flags=re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip().startswith("ptx ")]


@pytest.mark.parametrize("line", readme_commands())
def test_readme_commands_parse(line: str) -> None:
    """Every option and choice that the README shows exists: the command line is parsed, not run."""
    import typer.main

    from ptx.cli import app

    group = typer.main.get_command(app)
    args = shlex.split(line, comments=True)[1:]
    context = group.make_context("ptx", args, resilient_parsing=False)
    name, command, rest = group.resolve_command(context, context._protected_args + context.args)
    while hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(context, rest)
    command.make_context(name, list(rest))


def test_the_readme_shows_commands_and_never_the_other_package() -> None:
    assert len(readme_commands()) > 8
    for path in [ROOT / "README.md", ROOT / "pyproject.toml", *ROOT.glob("ptx/**/*.py"), *ROOT.glob("docs/*.md")]:
        assert not re.search(r"pip install (-\S+ )*ptx\b(?!-prompts)", path.read_text("utf-8")), path
