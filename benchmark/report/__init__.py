"""The report of a run: one HTML page that needs nothing else, made from a run's folder."""

from .page import Report, build

__all__ = ["Report", "build"]
