"""The learning rate of each gradient step of a tuning, and OptiPrompt's optimizer as rates of Adam."""

import math

from ptx.config.tune import TuneConfig

EPS = 1e-8  # Adam's
OPTIPROMPT_EPS = 1e-6  # the authors' code
DECAYS = (0.9, 0.999)  # of Adam's two means


def rate(config: TuneConfig, step: int, steps: int, std: float) -> dict[str, float]:
    """`lr` and `eps` of torch's Adam in a step, counted from 0; the schedule is over so many `steps`, and then begins
    again. `std` is that of the model's word embeddings, the unit of --lr-scale.

    The linear schedule rises from 0 over the first share of steps and falls to 0 over the others (the authors' code).
    OptiPrompt's optimizer is AdamW without weight decay and without the correction of Adam's means for beginning at 0,
    which is Adam at another rate: lr m / (sqrt(v) + eps), where Adam has both means divided by 1 - decay^t. Its steps
    are 3 times as long at first, 6 times by the eighth, and half as long again after 500.
    """
    lr = config.rate(std) * (linear(step % steps, steps, config.warmup) if config.schedule == "linear" else 1.0)
    if config.optimizer == "adam":
        return {"lr": lr, "eps": EPS}
    first, second = (1 - decay ** (step + 1) for decay in DECAYS)
    return {"lr": lr * first / math.sqrt(second), "eps": OPTIPROMPT_EPS / math.sqrt(second)}


def linear(step: int, steps: int, warmup: float) -> float:
    """The share of the learning rate in a step, counted from 0."""
    rising = int(steps * warmup)
    return step / rising if step < rising else (steps - step) / max(1, steps - rising)
