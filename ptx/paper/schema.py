"""The JSON Schema by which editors complete recipes and suite.toml files."""

from dataclasses import fields
from typing import Any

from ptx.config import CONFIGS
from ptx.lms.known import STAND_INS, zoo
from ptx.paper.recipe import SHOWN, File, Sweep
from ptx.stages.methods import offered
from ptx.suites.description import Keys as Suite


def json_schema() -> dict[str, Any]:
    """One schema for both kinds of file: an editor takes the alternative that the file's keys fit.

    A stage's settings have the help and range of their options; in a sweep each is a value or a list of values.
    """
    from pydantic import TypeAdapter

    adapters = [TypeAdapter[Any](kind) for kind in (File, Sweep, Suite, *CONFIGS.values())]
    kinds = TypeAdapter.json_schemas([(adapter, "validation", adapter) for adapter in adapters])[1]["$defs"]
    for kind in kinds.values():
        kind["additionalProperties"] = False
    recipe, part, sweep = (kinds[name]["properties"] for name in ("File", "Part", "Sweep"))
    models = _list({"anyOf": [{"enum": [*zoo(), *STAND_INS]}, {"type": "string"}]})
    known = {"methods": _list({"enum": offered()}), "shows": {"enum": [*SHOWN]}}
    for name, values in {**known, "targets": models, "words_of": models, "sources": _list(models)}.items():
        recipe[name]["anyOf"] = part[name]["anyOf"] = [values]
    recipe["sweep"]["anyOf"] = part["sweep"]["anyOf"] = [_list({"$ref": "#/$defs/Sweep"})]
    for stage, config in CONFIGS.items():
        settings, ref = kinds[config.__name__]["properties"], f"#/$defs/{config.__name__}"
        swept = {}
        for field in fields(config):
            own, one = settings[field.name], {"$ref": f"{ref}/properties/{field.name}"}
            if own.get("type") == "string" and "enum" not in own:
                own["type"] = ["string", "number"]  # a number does where a text is wanted
            if "at_least" in field.metadata:
                own["minimum"] = field.metadata["at_least"]
            swept[field.name] = {"anyOf": [one, _list(one)], "description": own["description"]}
        recipe[stage] = part[stage] = {"$ref": ref}
        sweep[stage] |= {"additionalProperties": False, "properties": swept}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Recipes of `ptx run`, and suite.toml files of texts to classify",
        "anyOf": [{"$ref": f"#/$defs/{kind.__name__}"} for kind in (File, Suite)],
        "$defs": kinds,
    }


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}
