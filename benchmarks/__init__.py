"""What ptx costs, measured as ratios in one run on one machine: `python -m benchmarks`.

Each module is a group of rows and has `rows(quick)`: our way against the field's procedure, or against a bound that
the machine sets. Data are random, from fixed seeds, or the embedded ones; nothing is fetched.
"""
