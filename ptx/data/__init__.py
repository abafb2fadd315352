"""The user's data before anything runs: fetch published archives, and check what a suite would give."""
