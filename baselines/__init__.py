"""The generators of the papers and the controls that calibrate the scale: one module per family."""
