"""What is measured: one module per task (splits, arms, metrics); the downstream models are in `tasks.models`."""
