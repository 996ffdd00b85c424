from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tlkit.backbones.catalogue import find_backbone
from tlkit.dreaming.requests import DreamOptions, Wish, check_boundary, check_options, parse_channels
from tlkit.errors import BackboneError, SettingError

WISHES: list[tuple[Wish, dict[str, Any], Sequence[str]]] = [
    (Wish.CLASS, {"class_names": ("cat",)}, ()),
    (Wish.CHANNEL, {"channels": ("group3:1",)}, ()),
    (Wish.AMPLIFY, {"amplify": "group3"}, ("a.jpg",)),
    (Wish.INVERT, {"invert": ("top",)}, ("a.jpg",)),
    (Wish.TEXTURE, {"texture": True}, ("a.jpg",)),
    (Wish.STYLE, {"style": "b.jpg"}, ("a.jpg",)),
    (Wish.FOOL, {"fool": "cat"}, ("a.jpg", "b.jpg")),
    (Wish.REPORT, {"report": True}, ()),
]


@pytest.mark.parametrize(("wish", "settings", "pictures"), WISHES)
def test_each_wish_is_known_by_its_option(wish: Wish, settings: dict[str, Any], pictures: Sequence[str]) -> None:
    options = DreamOptions(**settings)
    check_options(options, pictures, model="runs/first", is_run=True)
    assert options.wish is wish
    assert DreamOptions(**settings, num_steps=3).steps == 3


@pytest.mark.parametrize(
    ("settings", "pictures", "is_run", "message"),
    [
        (
            {},
            (),
            True,
            "Nothing to dream of is named.\n  Expected: one of --class, --channel, --amplify, --invert, --texture, --style, "
            "--fool, --report\n  Fix: tlkit dream vgg16 --channel group3:0 … --out dreams/",
        ),
        (
            {"texture": True, "fool": "cat"},
            ("a.jpg",),
            True,
            "--texture and --fool together: a command makes one kind of picture.\n  Expected: one of --class, --channel, "
            "--amplify, --invert, --texture, --style, --fool, --report\n  Fix: tlkit dream vgg16 --texture … --out dreams/",
        ),
        (
            {"class_names": ("cat",)},
            (),
            False,
            "--class: vgg16 is a backbone alone, which has no classes.\n  Expected: a run, made by `tlkit finetune`\n"
            "  Fix: name a run, or use --channel.",
        ),
        (
            {"report": True, "weights": "random"},
            (),
            True,
            "--weights random: vgg16 is a run, which has its own.\n  Expected: --weights only with the name of a backbone\n"
            "  Fix: leave out --weights.",
        ),
        (
            {"texture": True},
            ("a.jpg", "b.jpg"),
            True,
            "--texture was given 2 pictures.\n  Expected: one picture\n  Fix: tlkit dream vgg16 PICTURE --texture … "
            "--out dreams/",
        ),
        (
            {"channels": ("top:1",)},
            ("a.jpg",),
            True,
            "--channel was given 1 picture.\n  Expected: no picture\n  Fix: tlkit dream vgg16 --channel … --out dreams/",
        ),
        (
            {"fool": "cat"},
            (),
            True,
            "--fool was given no picture.\n  Expected: one picture or more\n  Fix: tlkit dream vgg16 PICTURE --fool … "
            "--out dreams/",
        ),
        (
            {"texture": True, "size_px": 5000},
            ("a.jpg",),
            True,
            "--size 5000.\n  Expected: 32 to 4,096 pixels\n  Fix: give another --size.",
        ),
        (
            {"class_names": ("cat",), "size_px": 64},
            (),
            True,
            "--size 64 has no effect with --class: a run answers at its own size.\n  Expected: --size only with --channel, "
            "--amplify, --invert, --texture and --style\n  Fix: leave out --size.",
        ),
        (
            {"report": True, "num_steps": 5},
            (),
            True,
            "--steps 5 has no effect with --report.\n  Expected: --steps only with --class, --channel, --amplify, --invert, "
            "--texture, --style\n  Fix: leave out --steps.",
        ),
        (
            {"amplify": "top", "blur_px": 1.5},
            ("a.jpg",),
            True,
            "--blur 1.5 has no effect with --amplify.\n  Expected: --blur only with --class, --channel, --invert, --texture, "
            "--style\n  Fix: leave out --blur.",
        ),
        (
            {"texture": True, "boundary": "top"},
            ("a.jpg",),
            True,
            "--boundary top has no effect with --texture.\n  Expected: --boundary only with --style\n"
            "  Fix: leave out --boundary.",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(
    settings: dict[str, Any], pictures: Sequence[str], is_run: bool, message: str
) -> None:
    with pytest.raises(SettingError) as caught:
        check_options(DreamOptions(**settings), pictures, model="vgg16", is_run=is_run)
    assert str(caught.value) == message


def test_channels_are_a_boundary_and_a_number() -> None:
    entry = find_backbone("mobilenet_v2")
    assert parse_channels(["group3:17", "group5:2"], entry) == [("group3", 17), ("top", 2)]
    for text in ("17", "group3:", "group3:x", ":4"):
        with pytest.raises(SettingError) as caught:
            parse_channels([text], entry)
        assert str(caught.value) == (
            f"--channel {text}: not a boundary and a number.\n  Expected: BOUNDARY:NUMBER, such as group4:0\n"
            "  Fix: --channel group4:0; `tlkit backbones mobilenet_v2` prints the boundaries."
        )
    with pytest.raises(BackboneError, match="mobilenet_v2 has no boundary 'group9'"):
        parse_channels(["group9:1"], entry)


def test_the_pixels_have_no_map() -> None:
    with pytest.raises(SettingError) as caught:
        check_boundary("pixels", find_backbone("vgg16"), "--invert")
    assert str(caught.value) == (
        "--invert pixels: the pixels are the picture itself.\n  Expected: one of block1, block2, block3, block4, top\n"
        "  Fix: --invert block1"
    )
