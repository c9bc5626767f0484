"""The lung region generator of the fusion paper (Liu et al., SDFN)."""
