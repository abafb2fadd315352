"""A package, so that its conftest.py and the one above it are two modules."""
