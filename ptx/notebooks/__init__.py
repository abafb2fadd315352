"""What a notebook needs beyond the functions themselves (api.py): calls with their settings looked up, results as
frames, and what is in memory (a frame of facts, a model that is loaded) as a file or a folder."""
