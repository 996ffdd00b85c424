"""Keep decoder messages about damaged files off standard error; skipped.csv gives the reason instead."""

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
    """Silence Pillow and its libtiff; cheap, and safe to call in any thread before each decode.

    `warnings.catch_warnings` is not thread-safe, so the filter stays once it is set. It covers warnings raised in
    Pillow's own code; deprecation warnings, which point at the caller, are still shown.
    """
    _silence_log_and_libtiff()
    if ("ignore", None, Warning, _PILLOW_MODULES, 0) not in warnings.filters:
        warnings.filterwarnings("ignore", module=_PILLOW_MODULES.pattern)


@functools.cache
def _silence_log_and_libtiff() -> None:
    # Python prints a library's log messages to standard error unless its logger has a handler.
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    package = Path(PIL.__file__).parent
    bundled = [*package.parent.glob("pillow.libs/libtiff-*.so*"), *package.glob(".dylibs/libtiff*.dylib")]
    for library in bundled:
        # libtiff prints errors unless its process-wide handler is removed. Some builds of Pillow do not expose it; then
        # the messages are shown, which does no other harm.
        with contextlib.suppress(OSError, AttributeError):
            set_error_handler = ctypes.CDLL(str(library)).TIFFSetErrorHandler
            set_error_handler.argtypes, set_error_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            set_error_handler(None)
