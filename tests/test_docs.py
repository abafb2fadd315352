"""The documents say what the program does: commands parse, links lead somewhere, generated parts are fresh."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # the benchmarks are not installed


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = load(ROOT / "docs" / "generate.py")
DOCUMENTS = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in generate.documents()}
README = DOCUMENTS["README.md"]
OTHER_PROGRAMS = {"pip", "pytest"}  # whose command lines are not ours to parse


def blocks(text: str, *languages: str) -> list[str]:
    return re.findall(rf"```(?:{'|'.join(languages)})\n(.*?)```", text, flags=re.DOTALL)


def split(line: str) -> Iterator[list[str]]:
    """The commands of a line as words: those in $(...) first, then those that &&, ; and | separate, without > FILE."""
    inner = re.compile(r"\$\(([^()]*)\)")
    for inside in inner.findall(line):
        yield from split(inside)
    lexer = shlex.shlex(inner.sub("KEY", line), posix=True, punctuation_chars="&|;>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if set(word) <= set("&|;"):
            yield words
            words = []
        elif word == ">":
            next(lexer)
        else:
            words.append(word)
    if words:
        yield words


def shown_commands() -> list[tuple[str, str]]:
    """(document, command) for every command in a block of bash or console; of the latter, lines that begin with $."""
    lines = [
        (name, line.removeprefix("$ "))
        for name, text in DOCUMENTS.items()
        for language in ("bash", "console")
        for block in blocks(text, language)
        for line in block.splitlines()
        if (line.strip() if language == "bash" else line.startswith("$ "))
    ]
    commands = [(name, shlex.join(words)) for name, line in lines for words in split(line)]
    examples = re.findall(r"^ Example:  (.*)$", DOCUMENTS["docs/commands.md"], flags=re.MULTILINE)
    return commands + [("docs/commands.md", shlex.join(words)) for line in examples for words in split(line)]


def parse(words: list[str]) -> Any:
    """Read a command line as ptx would, without running it. Raises what the parser raises."""
    import typer.main

    from ptx.cli import app

    group: Any = typer.main.get_command(app)
    context = group.make_context("ptx", words, resilient_parsing=False)
    name, command, rest = group.resolve_command(context, context._protected_args + context.args)
    while hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(context, rest)
    return command.make_context(name, list(rest))


@pytest.mark.parametrize(("document", "line"), sorted(set(shown_commands())))
def test_every_command_in_the_documents_parses(document: str, line: str) -> None:
    """Every option and choice that a document shows exists."""
    from benchmarks import __main__ as benchmarks
    from benchmarks import filled
    from benchmarks.real import __main__ as real

    program, *words = shlex.split(line)
    if program == "ptx":
        assert parse(words) is not None
    elif program == "just":
        recipes = re.findall(r"^([a-z]+)( .*)?:", (ROOT / "justfile").read_text("utf-8"), flags=re.MULTILINE)
        assert set(words) <= {name for name, _ in recipes}
    elif words[:1] == ["docs/generate.py"]:
        generate.parser().parse_args(words[1:])
    elif words[:2] == ["-m", "benchmarks.real"]:
        real.parser().parse_args(words[2:])
    elif words[:2] == ["-m", "benchmarks.filled"]:
        filled.parser().parse_args(words[2:])
    elif words[:2] == ["-m", "benchmarks"]:
        benchmarks.parser().parse_args(words[2:])
    else:
        assert program in OTHER_PROGRAMS, f"{document}: how is {program} to be checked?"


def test_the_parser_of_command_lines_finds_every_command_and_refuses_wrong_ones() -> None:
    assert list(split("a 'b | c' > x | d && e \"$(f -q; g)\"  # h")) == [
        ["f", "-q"],
        ["g"],
        ["a", "b | c"],
        ["d"],
        ["e", "KEY"],
    ]
    for wrong in (["tune", "--modle", "x"], ["eval", "--target", "x", "--split", "exam"], ["tuna"], ["cache", "cls"]):
        with pytest.raises(Exception, match=r"--modle|exam|tuna|cls"):
            parse(wrong)
    shown = shown_commands()
    assert {"README.md", "CONTRIBUTING.md", "docs/trust.md", "docs/results/README.md"} <= {name for name, _ in shown}
    assert len([name for name, line in shown if name == "README.md" and line.startswith("ptx ")]) > 15


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    for link in generate.links(DOCUMENTS[document]):
        if link.startswith(("http://", "https://")):
            continue
        path, _, heading = link.partition("#")
        target = (ROOT / document).parent / path if path else ROOT / document
        assert target.exists(), f"{document} links to {link}"
        if heading:
            assert heading in headings(target.read_text("utf-8")), f"{document} links to {link}"


def headings(text: str) -> set[str]:
    """The headings of a document as links name them, which is GitHub's way."""
    plain = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    found = re.findall(r"^#+ (.*)$", plain, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_code_in_the_documents_is_well_formed(document: str) -> None:
    for block in blocks(DOCUMENTS[document], "python"):
        compile(block, document, "exec")
    for block in blocks(DOCUMENTS[document], "toml"):
        tomllib.loads(block)


def test_nothing_generated_is_stale() -> None:
    assert generate.problems() == [], "run: python docs/generate.py --quick"


def test_what_is_stale_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tmp_path)
    assert generate.problems(tmp_path) == []

    def change(name: str, old: str, new: str) -> None:
        text = (tmp_path / name).read_text("utf-8")
        assert old in text
        (tmp_path / name).write_text(text.replace(old, new), "utf-8")

    change("docs/commands.md", "--init-scale", "--start-scale")
    change("docs/zoo.md", "| bert-micro | 1,", "| bert-micro | 2,")
    change("docs/prompts.md", "<!-- curve -->", "")
    change("README.md", "<!-- /demo -->", "<!-- /demo -->\n<!-- times -->\n\n<!-- /times -->")
    change("docs/README.md", "(zoo.md)", "(models.md)")
    change("docs/results/real/README.md", "<!-- /summary -->", "new\n\n<!-- /summary -->")
    (tmp_path / "docs" / "results" / "table9.md").write_text("new", "utf-8")
    assert generate.problems(tmp_path) == [
        "docs/commands.md is not what --help says",
        "docs/prompts.md has 0 blocks <!-- curve -->; there should be one, in docs/prompts.md",
        "README.md has 1 blocks <!-- times -->; there should be one, in docs/performance/README.md",
        "docs/zoo.md is not what the models' cards say",
        "README.md does not show the summary of docs/results/real/README.md",
        "docs/results/table9.md is not listed in docs/results/README.md",
        "docs/zoo.md is not listed in docs/README.md",
    ]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert generate.main(["--check"], tmp_path) == 1
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert "docs/zoo.md is not what the models' cards say\n" in capsys.readouterr().err


def test_the_quick_part_of_the_generator_mends_what_is_stale(tmp_path: Path, capsys: Any) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tmp_path)
    zoo = tmp_path / "docs" / "zoo.md"
    whole = zoo.read_text("utf-8")
    zoo.write_text(re.sub(r"(<!-- zoo -->).*(<!-- /zoo -->)", r"\1\n\n\2", whole, flags=re.DOTALL), "utf-8")
    (tmp_path / "docs" / "commands.md").write_text("old", "utf-8")
    assert generate.main(["--quick"], tmp_path) == 0
    assert zoo.read_text("utf-8") == whole
    assert (tmp_path / "docs" / "commands.md").read_text("utf-8") == DOCUMENTS["docs/commands.md"]
    assert capsys.readouterr().err == ""
    zoo.write_text(whole.replace("<!-- zoo -->", ""), "utf-8")
    with pytest.raises(ValueError, match=r"docs/zoo\.md: 0 blocks between <!-- zoo --> and <!-- /zoo -->, not one"):
        generate.main(["--quick"], tmp_path)


def test_every_command_has_its_section() -> None:
    sections = re.findall(r"^## (ptx.*)$", DOCUMENTS["docs/commands.md"], flags=re.MULTILINE)
    assert len(sections) == len(generate.command_paths())
    assert {"ptx", "ptx tune", "ptx cache gc", "ptx data check", "ptx data fetch"} <= set(sections)


def test_the_demo_is_shown_in_two_places() -> None:
    """README.md has the first grid only, as `ptx run demo` prints it."""
    parts = []
    for name in ("demo", "demo-more"):
        text = DOCUMENTS[generate.BLOCKS[name]]
        found = re.search(rf"<!-- {name} -->\n```text\n(.*?)\n```\n<!-- /{name} -->", text, flags=re.DOTALL)
        assert found is not None
        parts.append(found[1])
    assert parts[1].startswith(generate.SECOND)
    assert parts[0].count("P@1 in %") == 1
    assert "Matching loss" not in parts[0]


def test_what_takes_minutes_to_generate_would_still_be_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo, the curve and the paper are not run here, but every command that makes them is parsed."""
    ran = []

    def printed(*words: str, folder: str = ".") -> str:
        assert parse(list(words)) is not None
        ran.append(" ".join(words[:2]))
        if words[:2] == ("run", "benchmark"):
            return "**Every way to move, on other models than its own**\n\n| method |\n"
        if words[0] == "run":
            return "facts, test split: 8 tasks\n\nfirst"
        if words[1:] == ():
            return "facts, test split: 8 tasks\n\nfirst\n\nP@1 in %, pooled facts\n\nsecond"
        return "facts, dev split: tuning on x\n\nfacts, dev split: tuning on roberta-micro, curve\n"

    monkeypatch.setattr(generate, "ptx", printed)
    assert generate.demo() == (
        "```text\nfacts, test split: 8 tasks\n\nfirst\n```",
        "```text\nP@1 in %, pooled facts\n\nsecond\n```",
    )
    assert generate.curve() == "```text\nfacts, dev split: tuning on roberta-micro, curve\n```"
    assert "![Accuracy against matching loss along the path of Adam](figure2.png)" in generate.results(
        "c", tmp_path, "0,1"
    )
    page = generate.benchmark("c", tmp_path)
    assert page.startswith("# Every way to move, on other models than its own\n\nMade by `ptx run benchmark`")
    assert "\n\n| method |\n\n![" in page
    assert ran.pop() == "run benchmark"
    assert ran == [
        "run demo",
        "table",
        "search --sources",
        *["tune --model"] * 3,
        "table --curve",
        "run paper",
        *["table --paper"] * 2,
    ]


def test_the_readme_is_short() -> None:
    written = re.sub(r"<!-- (\w+) -->.*?<!-- /\1 -->", "", README, flags=re.DOTALL)
    assert len(written.splitlines()) <= 150


def test_no_document_installs_the_other_package_or_an_unknown_extra() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    texts = [path.read_text("utf-8") for path in [ROOT / "pyproject.toml", *ROOT.glob("ptx/**/*.py")]]
    for text in [*DOCUMENTS.values(), *texts]:
        assert not re.search(r"pip install [^\n`&]*\bptx\b", text)  # ptx-prompts is in no index, and ptx is another
    wanted = {extra for text in DOCUMENTS.values() for extra in re.findall(r"'(?:\.|ptx-prompts)\[(\w+)\]'", text)}
    assert {"dev", "figures", "data", "tokenizers"} <= wanted
    assert wanted <= extras.keys()


def test_the_other_program_of_this_name_is_no_trap() -> None:
    """GNU coreutils has a ptx: README says so, and there is a second name, which runs the same."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    assert scripts["ptx"] == scripts["ptx-prompts"] == "ptx.__main__:main"
    for needed in ("GNU coreutils has a `ptx` too", "`python -m ptx`", "`ptx-prompts`", "CUDA build of PyTorch"):
        assert needed in README


def test_the_example_is_a_test_fact_that_the_documents_share() -> None:
    """tests/cli/test_cli.py asks models for it."""
    from ptx.suites import load_suite

    (found,) = re.findall(r"a fact such as \*(\S+), ([a-z ]+): (\S+)\*", README)
    subject, title, answer = found
    (task,) = [task for task in load_suite("facts").tasks if task.label == title]
    assert (subject, answer) in {(fact.subject, fact.object) for fact in task.splits["test"]}
    asked = [line for _, line in shown_commands() if line.startswith("ptx predict") and "--file" not in line]
    assert all(shlex.split(line)[-1] == subject for line in asked)
    assert len(asked) >= 3


def test_the_citation_is_of_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {version}\n" in citation
    assert "Zero-Shot Continuous Prompt Transfer" in citation


def test_the_rooms_files_and_functions_that_the_documents_name_are_there() -> None:
    for name, text in DOCUMENTS.items():
        for path in re.findall(r"`(ptx/[\w/.]+)`", text):
            assert (ROOT / path).exists(), f"{name} names {path}"
    rooms = README[README.index("| room of `ptx/` |") :].split("\n\n")[0]
    found = re.findall(r"`([\w.]+/?)`", " ".join(row.split("|")[1] for row in rooms.splitlines()[2:]))
    assert len(found) > 12
    for room in found:
        assert (ROOT / "ptx" / room).exists(), f"README.md names {room}"
    functions = 0
    for path, names in re.findall(
        r"^\| .* \| `(ptx/\S+\.py)` \|(.*)\|$", DOCUMENTS["CONTRIBUTING.md"], flags=re.MULTILINE
    ):
        for function in re.findall(r"`(\w+)`", names):
            assert f"\ndef {function}(" in (ROOT / path).read_text("utf-8"), f"{path} has no {function}"
            functions += 1
    assert functions == 22
