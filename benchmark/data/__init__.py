"""Datasets: how they are kept, found, split, resized and augmented; importers and phantoms."""
