from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.explain.conftest import build_backbone_once
from tlkit.dreaming.canvas import Canvas
from tlkit.dreaming.network import DreamNetwork
from tlkit.dreaming.requests import DreamOptions
from tlkit.dreaming.studio import plan_works, read_picture
from tlkit.errors import DataError, SettingError

pytestmark = pytest.mark.usefixtures("untraced")


@pytest.fixture(scope="module")
def network() -> DreamNetwork:
    backbone = build_backbone_once("mnist_cnn", image_size=(32, 32), pooling="none", weights="random", seed=1)
    return DreamNetwork(backbone)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


def test_a_picture_keeps_its_shape_in_multiples_of_32(photo: Path) -> None:
    assert read_picture(photo, 96, 32).shape == (64, 96, 3)
    assert read_picture(photo, 32, 32).shape == (32, 32, 3)
    assert read_picture(photo, 200, 75).shape == (128, 192, 3)


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DataError, match=r"broken\.jpg: .*\n  Expected: a picture that can be read"):
        read_picture(tmp_path / "broken.jpg", 64, 32)


@pytest.mark.parametrize(
    ("settings", "titles", "size"),
    [
        ({"channels": ("conv1:2", "top:0")}, ["Channel 2 at conv1", "Channel 0 at top"], (64, 64)),
        ({"amplify": "conv2"}, ["photo, with what top sees in it made stronger"], (32, 64)),
        ({"invert": ("conv1",)}, ["photo, made again from its features at conv1"], (32, 64)),
        ({"texture": True}, ["The texture of photo"], (64, 64)),
        ({"style": "photo.png"}, ["photo in the style of photo"], (32, 64)),
    ],
)
def test_every_wish_becomes_a_picture(
    network: DreamNetwork, photo: Path, settings: dict[str, object], titles: list[str], size: tuple[int, int]
) -> None:
    options = DreamOptions(**settings, size_px=64, num_steps=2)  # type: ignore[arg-type]
    paths = [photo] * (0 if "channels" in settings else 2 if "style" in settings else 1)
    works = plan_works(network, options, paths, {})
    assert [work.title for work in works] == titles
    for work in works:
        frames = list(work.begin())
        assert len(frames) == work.num_steps == 2
        assert frames[-1] is not None
        assert frames[-1].picture.shape == (*size, 3)


def test_noise_is_amplified_where_no_picture_is_given(network: DreamNetwork) -> None:
    (work,) = plan_works(network, DreamOptions(amplify="conv1", size_px=32, num_steps=1), [], {})
    assert work.name == "noise-amplified-conv1"
    assert work.given["noise"].shape == (32, 32, 3)
    assert [frame.step for frame in work.begin() if frame] == [1]


def test_a_channel_that_is_not_there_is_refused(network: DreamNetwork) -> None:
    with pytest.raises(SettingError) as caught:
        plan_works(network, DreamOptions(channels=("conv1:999",)), [], {})
    channels = network.read_shape("conv1")[-1]
    assert str(caught.value) == (
        f"--channel conv1:999: the map at conv1 has {channels} channels.\n  Expected: 0 to {channels - 1}\n"
        f"  Fix: --channel conv1:{channels - 1}"
    )


def test_a_blur_reaches_the_canvas(network: DreamNetwork, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    radii: list[float] = []
    monkeypatch.setattr(Canvas, "blur", lambda self, radius_px: radii.append(radius_px))
    for settings in ({"invert": ("conv1",)}, {"style": "photo.png"}):
        options = DreamOptions(**settings, size_px=32, num_steps=44, blur_px=1.5)
        (work,) = plan_works(network, options, [photo] * (1 + ("style" in settings)), {})
        list(work.begin())
    assert radii == [1.5, 1.5]


def test_an_inversion_comes_nearer_to_the_features(network: DreamNetwork, photo: Path) -> None:
    (work,) = plan_works(network, DreamOptions(invert=("conv1",), size_px=32, num_steps=40), [photo], {})
    frames = [frame for frame in work.begin() if frame]
    assert frames[-1].loss < 0.7 * frames[0].loss
