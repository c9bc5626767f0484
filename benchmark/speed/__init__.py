"""How many films a second, and what that costs: measured and shown."""
