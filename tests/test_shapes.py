"""Shapes in signatures are checked while the tests run, all of them."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import typing
from collections.abc import Iterator
from typing import Any

import pytest
import torch

import ptx
from ptx.transfer.equations import relative_representation

SHAPES = ("Float[", "Int[", "Bool[")


def annotated() -> Iterator[Any]:
    """Every function, method and class of the package that has a shape in its annotations."""
    for module in pkgutil.walk_packages(ptx.__path__, "ptx."):
        if module.name.endswith("__main__"):
            continue
        for _, item in inspect.getmembers(importlib.import_module(module.name)):
            if getattr(item, "__module__", "") == module.name:
                for one in (item, *(vars(item).values() if inspect.isclass(item) else ())):
                    own = inspect.get_annotations(inspect.unwrap(one)) if callable(one) else {}
                    if any(shape in str(annotation) for annotation in own.values() for shape in SHAPES):
                        yield one


def test_a_wrong_shape_is_noticed() -> None:
    with pytest.raises(Exception, match="Type-check error"):
        relative_representation(torch.ones(2, 3), anchors=torch.ones(4, 5))


def test_no_shape_goes_unchecked() -> None:
    """One whose names are imported for the type checker alone would."""
    found = list(annotated())
    assert len(found) > 40
    for one in found:
        typing.get_type_hints(inspect.unwrap(one))  # raises NameError
