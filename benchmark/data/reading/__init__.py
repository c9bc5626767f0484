"""Files as people keep them, read by one set of rules: films, masks, DICOM, tables. Whoever asks gets the same."""
