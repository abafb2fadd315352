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

# The same, and the paper in miniature (20 minutes, unless `cache` has it).
results:
    python docs/generate.py --results cache

# Measure what README's table of times shows (half an hour; `python -m benchmarks --quick` takes two minutes).
bench:
    python -m benchmarks --readme
