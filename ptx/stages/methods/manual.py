"""`manual`: the task's template in words, and no soft prompt."""

from ptx.stages.methods.method import Method

METHOD = Method("manual", own=lambda target, task, settings: None)
