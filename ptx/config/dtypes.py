"""`--dtype`: what each model computes in, as `TYPE` or `WHO=TYPE`, comma-separated."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ptx.config.lists import names_in
from ptx.errors import UsageError

Role = Literal["source", "target"]
FLOAT32, AUTO = "float32", "auto"
TYPES = (FLOAT32, "bfloat16", "float16")


@dataclass(frozen=True)
class Dtypes:
    """The type for all models, and those of some: of sources, of targets, and of models by name, which win."""

    all: str
    of: Mapping[str, str]

    @property
    def names(self) -> list[str]:
        """The models that are named."""
        return [who for who in self.of if who not in ("source", "target")]

    def asked(self, name: str, role: Role) -> str:
        return self.of.get(name, self.of.get(role, self.all))


def dtypes(text: str) -> Dtypes:
    """`--dtype` as it is written. Raises UsageError for a type that there is not, or something said twice."""
    every: list[str] = []
    of: dict[str, str] = {}
    for part in names_in(text):
        who, equals, kind = part.rpartition("=")
        who, kind = who.strip(), kind.strip()
        if kind not in (*TYPES, AUTO) or (equals and not who):
            close = difflib.get_close_matches(kind, (*TYPES, AUTO), n=1)
            hint = f"choose among {', '.join((*TYPES, AUTO))}; for one model alone write it like target=bfloat16"
            raise UsageError(f"--dtype {part!r} is no type", f"did you mean {close[0]}? {hint}" if close else hint)
        if who in of or (not who and every):
            raise UsageError(f"--dtype {text!r} says twice what {who or 'models'} compute in", "leave one out")
        if who:
            of[who] = kind
        else:
            every.append(kind)
    if not every and not of:
        raise UsageError("--dtype names no type", f"choose among {', '.join((*TYPES, AUTO))}")
    return Dtypes(every[0] if every else FLOAT32, of)
