"""The JSON Schema for editors agrees with what ptx reads."""

import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

import ptx.suites
from ptx.config import CONFIGS
from ptx.paper.recipe import FOLDER
from ptx.paper.schema import json_schema

PRESETS = Path(ptx.suites.__file__).parent / "presets"
FILES = [*sorted(FOLDER.glob("*.toml")), *sorted(PRESETS.glob("*.toml"))]
SUITE = 'template = "[X] [Y]"\ntext = "t"\nlabel = "l"\nwords = ["a", "b"]\nfiles = { train = "t" }\n'


@pytest.fixture(scope="module")
def schema() -> Draft7Validator:
    made = json_schema()
    Draft7Validator.check_schema(made)
    return Draft7Validator(made)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_file_that_ships_is_valid(schema, file: Path) -> None:
    assert [error.message for error in schema.iter_errors(tomllib.loads(file.read_text("utf-8")))] == []


@pytest.mark.parametrize(
    "text",
    [
        "encode.top_k = 512",
        'encode.top_k = "48%"',
        '[[sweep]]\nencode.top_k = [512, "all"]',
        "[[sweep]]\nencode.top_k = 512",
        'tune.init = "text:is the capital of"\ntune.lr_scale = 0.3\ntune.patience = 0',
        "tune.lr = 0.01\n[[sweep]]\ntune.lr_scale = [0.1, 1]",
        "[[sweep]]\nsearch.normalize = [true, false]\ntune.prompt_length = [1, 5]",
        '[zoo]\nsources = [["a model of my own", "bert-micro"]]\n[[zoo.sweep]]\nanchors.count = 3',
        'suite = ["facts", "topics"]',
        SUITE,
        SUITE + "limit = { train = 5 }",
    ],
)
def test_what_ptx_reads_is_valid(schema, text: str) -> None:
    assert schema.is_valid(tomllib.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        "titel = 'x'",
        "encode.topk = 512",
        "[zoo]\ntargest = []",
        "[paper]\nencode.topk = 512",
        "[[sweep]]\nencode.topk = 512",
        "[[sweep]]\nencoding.top_k = 512",
        "targets = 'bert-micro'",
        "sources = ['bert-micro']",
        "methods = ['relativ']",
        "shows = 'table7'",
        "self_transfer = 'no'",
        "encode.top_k = [512]",
        "encode.top_k = true",
        "tune.epochs = 'many'",
        "tune.epochs = 0",
        "tune.patience = -1",
        "tune.lr = 'fast'",
        "tune.lr_scale = '0.1'",
        "[[sweep]]\ntune.epochs = [1, 0]",
        "[[sweep]]\ntune.epochs = ['many']",
        "[[sweep]]\nsearch.solver = ['exact', 'best']",
        SUITE + "colour = 'red'",
        SUITE + "limit = { trian = 5 }",
        SUITE + "limit = { train = 0 }",
        SUITE.replace('"l"', "3"),
        SUITE.replace("label", "lable"),
        SUITE + "methods = ['relative']",
    ],
)
def test_a_mistake_is_not(schema, text: str) -> None:
    assert not schema.is_valid(tomllib.loads(text))


def test_every_setting_has_its_help_in_recipes_and_sweeps() -> None:
    kinds = json_schema()["$defs"]
    for stage, config in CONFIGS.items():
        settings = kinds[config.__name__]["properties"]
        assert kinds["File"]["properties"][stage] == kinds["Part"]["properties"][stage]
        swept = kinds["Sweep"]["properties"][stage]["properties"]
        assert {name: own["description"] for name, own in swept.items()} == {
            name: own["description"] for name, own in settings.items()
        }
    assert kinds["TuneConfig"]["properties"]["epochs"]["minimum"] == 1
