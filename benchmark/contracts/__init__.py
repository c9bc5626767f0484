"""What others implement: a provider and a task; what stands for a class of one's own; whether one keeps the contract."""
