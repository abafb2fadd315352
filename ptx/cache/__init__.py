"""Artifacts on disk: `keys` name them, `store` keeps them, `verify` looks at what is read, `leases` say what is in use,
and `housekeeping` and `gc` are behind `ptx cache`."""

from ptx.cache.keys import canonical, digest, file_digest
from ptx.cache.store import STAGES, Artifact, Store, versions_of
from ptx.cache.verify import damage

__all__ = ["STAGES", "Artifact", "Store", "canonical", "damage", "digest", "file_digest", "versions_of"]
