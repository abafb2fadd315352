"""The embedded models, their facts, and the scripts that made them."""
