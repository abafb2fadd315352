# Bare `just` tests and lints.
default: test lint

install:
    pip install -c constraints.txt -e '.[dev]'

test:
    pytest

# Faults and properties in full: 200 kills, 1,000 damaged files, 10,000 examples of each property (half an hour).
torture:
    PTX_TORTURE=1 pytest tests/faults -n 0 -s
    HYPOTHESIS_PROFILE=torture pytest -m hypothesis -n 0 --durations 20

lint:
    ruff check .
    ruff format --check .
    mypy
    python docs/generate.py --check

# Rewrite what is generated in README.md and docs/ (runs the demo: a few minutes).
docs:
    python docs/generate.py

# The same, and the paper in miniature with three seeds (an hour, unless `cache` has it).
results:
    python docs/generate.py --results cache

# Every way to move a prompt, on embedded models: docs/results/benchmark.md (half an hour, unless `cache` has it).
benchmark:
    python docs/generate.py --benchmark cache

# Measure ptx on two real language models: docs/results/real/ (many hours; it goes on where it stopped).
real *args:
    python -m benchmarks.real {{args}}
    python docs/generate.py --quick

# Measure what docs/performance/README.md shows (a quarter of an hour; `python -m benchmarks --quick` takes two minutes).
bench:
    python -m benchmarks --readme
