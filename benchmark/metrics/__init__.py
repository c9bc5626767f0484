"""Metrics as pure functions: arrays in, numbers out. Nothing here knows a task, a record or a file.

`segmentation` has Dice, Jaccard and the Hausdorff distances of binary masks.
"""
