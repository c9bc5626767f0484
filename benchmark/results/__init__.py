"""The rows of results.json, and how a finished run becomes them."""
