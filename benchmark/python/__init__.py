"""The Python face: a run, its tables and figures, comparisons and datasets, for notebooks and scripts (`import
cxrbench`)."""
