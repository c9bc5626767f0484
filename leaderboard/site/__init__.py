"""The leaderboard as a static site: pages that ask nobody for anything, and the same boards as JSON, CSV and Markdown."""

from .build import Built, build, write_site

__all__ = ["Built", "build", "write_site"]
