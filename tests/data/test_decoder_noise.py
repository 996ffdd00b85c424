"""What decoders say about damaged files is not printed."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from tlkit.data.decoder_noise import silence_decoders
from tlkit.data.images import UnusableImage, check_image


def test_libtiff_prints_nothing(encode: Callable[..., bytes], capfd: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    content = bytearray(encode(Image.fromarray(noise), "TIFF", compression="tiff_adobe_deflate"))
    content[40:400] = bytes(360)
    with pytest.raises(UnusableImage):
        check_image(bytes(content))
    assert capfd.readouterr().err == ""


def test_pillow_logs_nothing_to_standard_error() -> None:
    # pytest handles log messages, so that this shows only in a process without it.
    code = (
        "import logging; from tlkit.data.decoder_noise import silence_decoders; silence_decoders();"
        "logging.getLogger('PIL.TiffImagePlugin').error('More samples per pixel than can be decoded')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr == ""


def test_pillows_warnings_are_ignored_and_others_are_not() -> None:
    silence_decoders()
    silence_decoders()
    warnings.warn_explicit("Truncated File Read", UserWarning, "TiffImagePlugin.py", 1, module="PIL.TiffImagePlugin")
    with pytest.raises(UserWarning, match="look here"):
        warnings.warn_explicit("look here", UserWarning, "images.py", 1, module="tlkit.data.images")
