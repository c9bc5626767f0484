"""`cxrbench audit`: where the films come from, what a REAL model says of their annotations, and the page."""
