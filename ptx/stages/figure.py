"""`figure`: a figure of the paper that was drawn, kept as a table is."""

from ptx.engine.step import Stage

STAGE = Stage("figure", version=2)
