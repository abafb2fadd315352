"""Pretrained language models: what a name means, which files are read, how a blank is filled."""
