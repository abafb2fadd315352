"""What a method is: a record, light enough to plan with. torch is imported in `build` only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor

    from ptx.cache import Store
    from ptx.engine.step import Step
    from ptx.errors import PtxError
    from ptx.lms.embeddings import WordEmbeddings
    from ptx.lms.models import Model
    from ptx.stages.settings import Settings
    from ptx.suites import Task

Need = Literal["prompts", "encodings", "portable", "texts", "words", "anchors"]


@dataclass(frozen=True)
class Found:
    """A prompt [m, d] for the target, figures for meta.json, and the seconds it took (None: since the one before)."""

    prompt: Tensor
    metrics: Mapping[str, Any] = field(default_factory=dict)
    seconds: float | None = None


@dataclass(frozen=True)
class Method:
    """A way to a prompt for a target.

    What it `needs` are the parents of its step: the sources' prompts, their encodings, the texts that they answer best
    or the one `portable` prompt that they learned together, and the words that all models share or the anchors chosen
    from these; nothing of it means nothing is trained. `options` are the settings of a search that it uses. Others are
    refused; only methods that are older than this check (None) pass over those that are as old. `settings(settings,
    task)` are those that its result depends on, `given(tuned, task, settings)` further ones that depend on the sources'
    prompts (or a PtxError for prompts that it cannot take). `variants` are the settings under which `--method auto` and
    `--select agree` try it; without any, they leave it out. `build(steps, model, store)` yields each step of one target
    with what it found, or an error. A method that searches for nothing has
    `own(target, task, settings)`: the target's own prompt, or None for its manual template.
    """

    name: str
    title: str = ""  # its row in tables, if that is not its name
    sources: int | None = 0  # how many models it starts from; None: any number
    needs: tuple[Need, ...] = ()
    options: tuple[str, ...] | None = None
    settings: Callable[[Settings, Task], Mapping[str, Any]] = lambda settings, task: {}
    build: Callable[[Sequence[Step], WordEmbeddings, Store], Iterator[tuple[Step, Found | PtxError]]] | None = None
    given: Callable[[Sequence[Step], Task, Settings], Mapping[str, Any]] = lambda tuned, task, settings: {}
    variants: Sequence[Mapping[str, Any]] = ()
    from_text: bool = False  # whether it starts from a text in the target, and not from the sources' whole vectors
    uses: str = ""  # what it needs beyond the sources' prompts and models and the target's embeddings
    own: Callable[[Model, Task, Settings], Step | None] | None = None
    exists: Callable[[Sequence[str], str], bool] = lambda sources, target: True  # whether a grid has such a cell
    seconds: float = 0.02  # of a prompt, besides what networks read: so that progress knows what is slow
    has_epochs: bool = False  # among which `--select dev` can choose
