"""`imported`: a prompt from a file, scored on the model that it was made for. It is named by `--prompt` alone."""

from ptx.stages.methods.method import Method

METHOD = Method("imported")
