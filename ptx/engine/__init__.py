"""Steps of any stage: is one there, build it, publish it, here or elsewhere. No stage is known by name.

step      what an artifact is to be, and its key      build      one group of steps, checked and kept
pipeline  everything that some goals need             graph      which groups can be built now
workers   who builds them: this process               processes  others beside it
cluster   workers of a Dask scheduler                 message    a group as bytes for these
shards    a grid in parts for several machines        status     what a run is at, for others to see
"""
