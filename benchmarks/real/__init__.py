"""The proving ground: ptx on two real pretrained language models and LAMA's data, by `python -m benchmarks.real`.

models.py fetches the models, data.py cuts the data, cells.py says what is measured and asks ptx for it, ahead.py how
long it will take, work.py runs one model a core, results.py reads numbers, plots.py and page.py write them.
Tuning and transfers are ptx's own, with the defaults of this checkout and one ptx cache, so a run that was ended goes
on where it stopped, and a method that is new in ptx appears by itself.
"""
