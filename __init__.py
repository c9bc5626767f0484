"""cxrbench: how useful are synthetic chest X-rays? A benchmark of generators by the models trained on their films."""

__version__ = "0.1.0"
