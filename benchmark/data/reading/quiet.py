"""What decoding libraries warn of stays off the terminal: a reader says what matters about a file itself, in one line.

`warnings.catch_warnings` is no way to do that, for it is not made for threads. The filter here is for the decoding
libraries alone, and it stays.
"""

from __future__ import annotations

import ctypes
import logging
import re
import warnings
from functools import cache

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
    _quiet_libtiff()


def one_line(error: BaseException, most: int = 160) -> str:
    """What an error of a library says, without line breaks and not at length; its kind where it says nothing."""
    text = re.sub(r"\s+", " ", str(error)).strip(" '\"")
    return (text if len(text) <= most else f"{text[:most].rstrip()}…") or type(error).__name__


@cache
def _quiet_libtiff() -> None:
    """libtiff prints what is wrong with a file itself, past Python; Pillow raises it all the same."""
    from PIL import _imaging

    try:
        libraries = ctypes.CDLL(_imaging.__file__)  # names of the libraries that it is linked with are found through it
        libraries.TIFFSetErrorHandler(None)
        libraries.TIFFSetWarningHandler(None)
    except (OSError, AttributeError):  # linked otherwise: it goes on printing
        pass


def _pattern(module: object) -> str:
    return str(getattr(module, "pattern", module))
