"""Settings of a tuning that cannot both be meant."""

from __future__ import annotations

from typing import Any

import pytest

from ptx.config.tune import TuneConfig
from ptx.errors import UsageError


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lr": 0.01, "lr_scale": 0.2}, "--lr and --lr-scale both say the rate"),
        ({"schedule": "constant", "warmup": 0.3}, "--warmup is a setting of --schedule linear"),
    ],
)
def test_a_setting_that_another_one_hides_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        TuneConfig(**given)
    assert caught.value.message == message


@pytest.mark.parametrize("given", [{"lr": 0.01}, {"lr_scale": 0.2}, {"schedule": "constant"}, {"warmup": 0.0},
                                   {"schedule": "constant", "warmup": 0.0}])  # fmt: skip
def test_each_of_them_alone_is_fine(given: dict[str, Any]) -> None:
    assert TuneConfig(**given)
