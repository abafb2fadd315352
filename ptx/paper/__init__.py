"""The paper's tables and figures from measured cells, and its claims, one by one. Pure: no cache, no models."""
