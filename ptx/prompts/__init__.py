"""Finished soft prompts: from anywhere, for anywhere.

given     what the user names by KEY_OR_FILE, and whether it fits the model    warm      the start of a tuning
imported  a file's prompt as an artifact       export, usage, record           an artifact as a file, with its card
inspect   what a prompt looks like
"""
