"""`python -m cxrbench.benchmark.cli` is `cxrbench`."""

from .program import main

main()
