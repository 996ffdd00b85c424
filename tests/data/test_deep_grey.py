"""Grey of more than 8 bits has one white for the whole data set, the same in training and in prediction."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from tlkit.data.deep_grey import choose_grey_ranges, describe_grey, hash_grey
from tlkit.data.images import UnusableImage, check_image, read_picture
from tlkit.outputs import GreyRange

Encode = Callable[..., bytes]
RAMP = np.arange(256, dtype=np.uint16).reshape(16, 16)


def read_grey(content: bytes, *ranges: GreyRange) -> list[int]:
    levels: list[int] = np.unique(np.asarray(read_picture(content, grey=ranges))).tolist()
    return levels


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "PPM", "JPEG2000"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_a_picture_by_itself_is_scaled_by_the_bits_that_it_uses(file_format: str, bits: int, encode: Encode) -> None:
    values = (RAMP * (2 ** (bits - 8))).astype(np.uint16)
    values[-1, -1] = 2**bits - 1
    levels = read_grey(encode(Image.fromarray(values), file_format))
    assert (levels[0], levels[-1]) == (0, 255)
    assert len(levels) >= 255


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_a_dark_picture_is_scaled_by_the_white_of_its_data_set(file_format: str, encode: Encode) -> None:
    contents = [encode(Image.fromarray(RAMP * factor), file_format) for factor in (1, 16)]
    measured = [check_image(content).grey for content in contents]
    assert measured == [GreyRange("16-bit", 0.0, 255.0), GreyRange("16-bit", 0.0, 4080.0)]
    ranges = choose_grey_ranges(item for item in measured if item)
    assert ranges == (GreyRange("16-bit", 0.0, 4095.0),)
    assert max(read_grey(contents[0], *ranges)) == 16
    assert max(read_grey(contents[1], *ranges)) == 254


def test_a_picture_of_another_depth_than_the_training_images_is_refused(encode: Encode) -> None:
    content = encode(Image.fromarray(RAMP * 256), "PNG")
    with pytest.raises(UnusableImage) as caught:
        read_picture(content, grey=(GreyRange("16-bit", 0.0, 4095.0),))
    assert caught.value.reason == (
        "its grey goes up to 65,280, but the model's white is 4,095: the bit depth differs from training"
    )


def test_floats_are_stretched_over_the_data_set(encode: Encode) -> None:
    contents = [encode(Image.fromarray(RAMP.astype(np.float32) / 255 * top), "TIFF") for top in (0.5, 1.0)]
    ranges = choose_grey_ranges(item for item in (check_image(content).grey for content in contents) if item)
    assert ranges == (GreyRange("float", 0.0, 1.0),)
    assert [max(read_grey(content, *ranges)) for content in contents] == [128, 255]


def test_signed_numbers_are_stretched_and_small_32_bit_numbers_have_a_white_level() -> None:
    assert choose_grey_ranges([GreyRange("32-bit", -1024.0, 3071.0)]) == (GreyRange("32-bit", -1024.0, 3071.0),)
    assert choose_grey_ranges([GreyRange("32-bit", 3.0, 900.0)]) == (GreyRange("32-bit", 0.0, 1023.0),)


def test_each_kind_of_a_mixed_data_set_has_its_own_range() -> None:
    measured = [GreyRange("float", 0.1, 0.9), GreyRange("16-bit", 5.0, 9000.0), GreyRange("12-bit", 0.0, 4000.0)]
    ranges = choose_grey_ranges(measured)
    assert ranges == (
        GreyRange("12-bit", 0.0, 4095.0),
        GreyRange("16-bit", 0.0, 16383.0),
        GreyRange("float", 0.1, 0.9),
    )
    assert describe_grey(ranges, [*measured, measured[1]])[1] == (
        "2 images have 16-bit grey: 0 is black and 16,383 is white, in training and in prediction."
    )
    assert hash_grey(ranges) != hash_grey(ranges[:2])
    assert hash_grey(()) == ""


def test_hot_pixels_decide_nothing(encode: Encode) -> None:
    values = np.full((100, 100), 3000, np.uint16)
    values[50, :9] = 65535
    assert check_image(encode(Image.fromarray(values), "PNG")).grey == GreyRange("16-bit", 3000.0, 3000.0)


def test_pictures_of_8_bits_have_no_deep_grey(quarters: Image.Image, encode: Encode) -> None:
    for mode in ("L", "RGB", "1", "P"):
        assert check_image(encode(quarters.convert(mode), "PNG")).grey is None
