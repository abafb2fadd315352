"""The paper, on tensors: what the stages compute. No store, no step, no printing; every test checks the shapes.

equations  Eq. 3, 5, 6 and 7          solvers  the search: least squares, or Adam    target  what its searches share
tuning     Eq. 2                      scoring  P@1, and choosing by it on dev        starts  where prompts begin
portable   words learned on several   mixtures words with weights, on any model
words      which words models share   maps     other ways from source to target: nearest words, a projector
residual   what tuning added to a text, moved     agreement  choice without labels     forecast  accuracy to expect
"""
