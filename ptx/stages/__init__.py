"""The stages, in the order of the paper: tune, anchors, relative (encode), search, evaluate, table."""
