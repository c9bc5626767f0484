"""What decoding libraries warn of stays off the terminal: a reader says what matters about a file itself, in one line.

`warnings.catch_warnings` is no way to do that, for it is not made for threads. The filter here is for the decoding
libraries alone, and it stays.
"""

from __future__ import annotations

import logging
import re
import warnings

_LIBRARIES = ("PIL", "pydicom", "pylibjpeg", "libjpeg", "openjpeg", "rle", "jpeg_ls")
_PATTERN = rf"(?:{'|'.join(_LIBRARIES)})(?:\.|$)"


def quiet() -> None:
    """Ignore warnings of decoding libraries from here on, in every thread; again after someone took the filter away."""
    if not any(entry[0] == "ignore" and _pattern(entry[3]) == _PATTERN for entry in warnings.filters[:3]):
        warnings.filterwarnings("ignore", module=_PATTERN)
    for name in _LIBRARIES[:2]:
        logger = logging.getLogger(name)
        if not logger.handlers:  # else Python prints a library's warnings itself
            logger.addHandler(logging.NullHandler())


def one_line(error: BaseException, most: int = 160) -> str:
    """What an error of a library says, without line breaks and not at length; its kind where it says nothing."""
    text = re.sub(r"\s+", " ", str(error)).strip(" '\"")
    return (text if len(text) <= most else f"{text[:most].rstrip()}…") or type(error).__name__


def _pattern(module: object) -> str:
    return str(getattr(module, "pattern", module))
