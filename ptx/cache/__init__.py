"""Artifacts on disk: `keys` name them, `store` keeps them, `verify` looks at what is read, `leases` say what is in use,
and `housekeeping` and `gc` are behind `ptx cache`."""

from ptx.cache.keys import canonical, digest, file_digest
from ptx.cache.store import MODELS, STAGES, Artifact, Store, models_beside, versions_of
from ptx.cache.verify import damage

__all__ = [
    "MODELS", "STAGES", "Artifact", "Store", "canonical", "damage", "digest", "file_digest", "models_beside",
    "versions_of",
]  # fmt: skip
