"""Artifacts on disk: `keys` name them, `store` keeps them, `verify` looks at what is read, `leases` say what is in use,
and `housekeeping` and `gc` are behind `ptx cache`, and behind the functions of its commands, which hide the modules of
their names: `from ptx.cache.gc import ...` finds these all the same."""

from ptx.cache import gc as _  # noqa: F401, first, so that its name is then the function's
from ptx.cache.functions import gc, ls, show, verify
from ptx.cache.keys import canonical, digest, file_digest
from ptx.cache.store import MODELS, STAGES, Artifact, Store, models_beside, versions_of
from ptx.cache.verify import damage

__all__ = [
    "MODELS", "STAGES", "Artifact", "Store", "canonical", "damage", "digest", "file_digest", "gc", "ls",
    "models_beside", "show", "verify", "versions_of",
]  # fmt: skip
