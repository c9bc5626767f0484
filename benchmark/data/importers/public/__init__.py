"""The public sets by name, each from its official layout: one module a set, one line in `sets`; `core` does the rest."""
