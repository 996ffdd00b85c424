"""Keep what the image decoders say about damaged files off standard error: the reason goes to the list of such files."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
import re
import warnings
from pathlib import Path

import PIL

_PILLOW_MODULES = re.compile(r"PIL\.")


def silence_decoders() -> None:
    """Silence Pillow and its libtiff; cheap, and safe to call in any thread before every decoding.

    `warnings.catch_warnings` is not safe in threads, so the filter stays once it is set. It covers warnings that point
    at Pillow's own lines; deprecations, which point at the caller's, are still seen.
    """
    _silence_log_and_libtiff()
    if ("ignore", None, Warning, _PILLOW_MODULES, 0) not in warnings.filters:
        warnings.filterwarnings("ignore", module=_PILLOW_MODULES.pattern)


@functools.cache
def _silence_log_and_libtiff() -> None:
    # Without a handler of its own Python prints a library's log messages to standard error.
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    package = Path(PIL.__file__).parent
    bundled = [*package.parent.glob("pillow.libs/libtiff-*.so*"), *package.glob(".dylibs/libtiff*.dylib")]
    for library in bundled:
        # libtiff prints errors by itself unless its handler, one for the whole process, is taken away. A Pillow that is
        # built otherwise may keep it out of reach; then the messages are seen, and nothing else is wrong.
        with contextlib.suppress(OSError, AttributeError):
            set_error_handler = ctypes.CDLL(str(library)).TIFFSetErrorHandler
            set_error_handler.argtypes, set_error_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            set_error_handler(None)
