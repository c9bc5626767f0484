"""A run: from what a user asks for to a plan, to steps, to records in the store."""
