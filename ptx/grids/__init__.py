"""Grids of models, methods and tasks: recipes and running them."""
