"""The engine: datasets, the provider contract, tasks, runs, records, metrics and statistics. Knows no provider by name."""
