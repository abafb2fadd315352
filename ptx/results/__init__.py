"""Evaluations read back: which may stand in one table, the tables, the curve of tuning, and how a table is written."""
