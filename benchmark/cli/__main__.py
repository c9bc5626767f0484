"""`python -m cxrbench.benchmark.cli` is `cxrbench`."""

from . import main

main()
