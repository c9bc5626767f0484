"""`cxrbench card`: a finished run on one page, and its films as a set that may be shared."""
