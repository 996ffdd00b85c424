"""A small file takes neither gigabytes nor minutes: what would is refused from its head."""

from __future__ import annotations

import io
import struct
import threading
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from tlkit.data import decoding_costs
from tlkit.data.decoding_costs import MemoryBudget, count_scans
from tlkit.data.images import READABLE_FORMATS, UnusableImage, check_image, read_picture

Encode = Callable[..., bytes]


def reason_of(content: bytes) -> str:
    with pytest.raises(UnusableImage) as caught:
        check_image(content)
    return caught.value.reason


def add_scans(content: bytes, number: int) -> bytes:
    """Return a progressive JPEG whose last scan comes `number` times more."""
    last = content.rfind(b"\xff\xda")
    return content[:-2] + content[last:-2] * number + content[-2:]


def write_blank_png(width: int, height: int, *, color_type: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    samples = {0: 1, 6: 4}[color_type]
    press = zlib.compressobj(1)
    rows = b"".join(press.compress(bytes(1 + width * samples)) for _ in range(height)) + press.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, color_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_the_scans_of_a_jpeg_are_counted(encode: Encode, quarters: Image.Image) -> None:
    plain = encode(quarters, "JPEG")
    progressive = encode(quarters, "JPEG", progressive=True)
    assert count_scans(plain) == 1
    assert count_scans(plain + plain) == 1
    assert count_scans(progressive) == 10
    assert count_scans(add_scans(progressive, 60)) == 70
    assert count_scans(progressive[:-2]) == 10


def test_a_thumbnail_inside_a_jpeg_is_no_scan(encode: Encode, quarters: Image.Image) -> None:
    thumbnail = encode(quarters.resize((16, 12)), "JPEG")
    assert count_scans(encode(quarters, "JPEG", exif=b"Exif\0\0" + thumbnail)) == 1


def test_a_large_jpeg_of_many_scans_is_refused(encode: Encode) -> None:
    content = add_scans(encode(Image.new("L", (6000, 4000)), "JPEG", progressive=True), 60)
    assert reason_of(content) == "a JPEG of 24 megapixels in 66 scans takes too long to decode"


def test_a_small_jpeg_may_have_any_number_of_scans(encode: Encode, quarters: Image.Image) -> None:
    assert check_image(add_scans(encode(quarters, "JPEG", progressive=True), 60)).width == 64


@pytest.mark.parametrize(("file_format", "bytes_per_pixel"), [("PNG", 4), ("WEBP", 16), ("AVIF", 16), ("JPEG2000", 20)])
def test_what_takes_more_than_the_memory_is_refused(
    file_format: str, bytes_per_pixel: int, encode: Encode, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = encode(Image.new("RGB", (1000, 1000)), file_format)
    monkeypatch.setattr(decoding_costs, "DECODING_BYTES", bytes_per_pixel * 10**6)
    assert check_image(content).width == 1000
    monkeypatch.setattr(decoding_costs, "DECODING_BYTES", bytes_per_pixel * 10**6 - 1)
    assert reason_of(content) == f"1 megapixels of {file_format} take more than 1 GiB to decode"


def test_what_is_decoded_in_python_is_refused_where_it_is_large(encode: Encode) -> None:
    content = encode(Image.new("RGB", (2, 2)), "QOI")
    assert reason_of(content[:4] + struct.pack(">II", 3000, 2900) + content[12:]) == (
        "9 megapixels of QOI take too long to decode"
    )


def test_a_very_large_picture_is_brought_down_in_strips() -> None:
    content = write_blank_png(5000, 4003, color_type=6)
    picture = read_picture(content, target=(250, 300))
    assert picture.size == (625, 501)
    assert np.unique(np.asarray(picture)).tolist() == [255]
    assert read_picture(content, target=(2002, 100)).size == (5000, 4003)


def test_strips_meet_without_a_seam(encode: Encode) -> None:
    ramp = np.broadcast_to((np.arange(5000) // 20 % 256).astype(np.uint8)[:, np.newaxis], (5000, 4000))
    picture = read_picture(encode(Image.fromarray(ramp), "PNG", compress_level=1), target=(300, 250))
    whole = Image.fromarray(ramp).convert("RGB").reduce(8)
    np.testing.assert_array_equal(np.asarray(picture), np.asarray(whole))


def test_a_tiff_of_huge_tiles_is_refused(encode: Encode) -> None:
    content = encode(Image.new("L", (64, 64)), "TIFF", compression="tiff_lzw", tiffinfo={278: 64})
    stream = io.BytesIO(content)
    with Image.open(stream) as picture:
        tags = picture.tag_v2  # type: ignore[attr-defined]
        tags[322], tags[323] = 60000, 60000
        tags[324], tags[325] = tags[273], tags[279]
        del tags[273], tags[279], tags[278]
        head = tags.tobytes(len(content) + len(content) % 2)
    tiled = content[:4] + struct.pack("<I", len(content) + len(content) % 2) + content[8:]
    tiled += bytes(len(content) % 2) + head
    assert reason_of(tiled) == "a TIFF in tiles of 3600 megapixels takes more than 1 GiB to decode"


def test_formats_that_start_programs_or_read_slowly_are_not_read() -> None:
    assert not {"EPS", "WMF", "FITS", "IPTC", "SPIDER", "MCIDAS", "FPX", "MIC", "GBR", "BLP"} & set(READABLE_FORMATS)
    card = b"".join(line.ljust(80) for line in (b"SIMPLE  =                    T", b"BITPIX  = 8", b"NAXIS   = 2"))
    assert reason_of(card) == "a FITS file, which tlkit does not read; convert it to JPEG or PNG"


def test_threads_wait_for_their_part_of_the_memory() -> None:
    budget = MemoryBudget(10)
    order = []

    def work() -> None:
        with budget.take(99):
            order.append("large")

    with budget.take(6), budget.take(4):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(0.05)
        order.append("small")
    thread.join(5)
    assert order == ["small", "large"]


def test_threads_that_wait_for_memory_give_up_when_the_process_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = MemoryBudget(10)
    endings: list[str] = []

    def work() -> None:
        try:
            with budget.take(10):
                endings.append("decoded")
        except KeyboardInterrupt:
            endings.append("given up")

    with budget.take(10):
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        monkeypatch.setattr("tlkit.data.decoding_costs.is_interrupted", lambda: True)
    for thread in threads:
        thread.join(5)
    assert endings == ["given up"] * 3
