"""Artifacts on disk: `keys` name them, `store` keeps them, `verify` looks at what is read, `leases` say what is in use,
and `housekeeping` and `gc` are behind `ptx cache`; `ls`, `show`, `verify` and `gc` are its commands as functions."""

from ptx.cache import gc, verify
from ptx.cache.functions import ls, show
from ptx.cache.keys import canonical, digest, file_digest
from ptx.cache.store import MODELS, STAGES, Artifact, Store, models_beside, versions_of
from ptx.cache.verify import damage

__all__ = [
    "MODELS", "STAGES", "Artifact", "Store", "canonical", "damage", "digest", "file_digest", "gc", "ls",
    "models_beside", "show", "verify", "versions_of",
]  # fmt: skip
