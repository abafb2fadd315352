"""Steps of any stage: is one there, build it, publish it, in this process or in others. No stage is known by name.

step  what an artifact is to be, and its key       build     one group of steps, checked and kept
pipeline  everything that some goals need          workers   groups in processes of their own
"""
