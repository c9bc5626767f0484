"""Whether a difference is one: tests over cases, folds and seeds, and the rule that a task names."""
