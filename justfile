# Bare `just` tests and lints.
default: test lint

install:
    pip install -c constraints.txt -e '.[dev]'

test:
    pytest

lint:
    ruff check .
    ruff format --check .
    mypy

# Rewrite the generated parts of README.md and docs/commands.md (runs the demo).
docs:
    python docs/generate.py

# Measure what README's table of times shows.
bench:
    python benchmarks/times.py
