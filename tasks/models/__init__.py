"""The downstream models: what is trained on real and on synthetic films."""
