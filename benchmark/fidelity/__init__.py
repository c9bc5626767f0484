"""What can be said of synthetic films before anything is trained on them: feature spaces, numbers in each, copies."""
