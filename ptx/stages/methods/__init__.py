"""How a search can find the target's prompt. Each builder takes steps of one target: `build(steps, model, store)`."""

from ptx.stages.methods import projector, relative, simple

BUILDERS = {
    "random": simple.build_random,
    "direct": simple.build_direct,
    "discretize": simple.build_discretize,
    "projector": projector.build,
    "relative": relative.build,
}
