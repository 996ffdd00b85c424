"""From a wish to pictures in the making: which objective, which size, which canvas, which brush."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.catalogue import BackboneEntry
from tlkit.data.image_file import ImageFile
from tlkit.data.images import UnusableImage
from tlkit.dreaming.canvas import Canvas
from tlkit.dreaming.gradients import Gradient
from tlkit.dreaming.network import DreamNetwork
from tlkit.dreaming.octaves import TILE_PX, amplify, resize, round_edge
from tlkit.dreaming.painting import Brush, Frame, paint, to_pixels
from tlkit.dreaming.requests import DreamOptions, Wish, parse_channels
from tlkit.errors import DataError, SettingError

SIZES_PX = {Wish.CHANNEL: 224, Wish.AMPLIFY: 512, Wish.INVERT: 224, Wish.TEXTURE: 256, Wish.STYLE: 384}
"""Longer edge of a picture where none is asked for."""
COARSEST_STYLE_PX = 16
"""Styles are taken from maps whose places are at most so many pixels apart: coarser ones hold objects."""
RATE, STYLE_RATE = 0.05, 0.02
SMOOTHNESS = 0.1
SHIFT_SHARE = 1 / 16
NOISE_CONTRAST = 24


@dataclass(frozen=True, eq=False)
class Work:
    """A picture to make.

    Attributes:
        title: What it is.
        name: A name for its file.
        num_steps: Steps that it takes.
        begin: Begins it: see `painting.paint`.
        given: Pictures that it is made from, uint8 (height, width, 3), by name.
    """

    title: str
    name: str
    num_steps: int
    begin: Callable[[], Iterator[Frame | None]]
    given: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)


def read_picture(path: Path, longer_px: int, smallest_px: int) -> NDArray[np.uint8]:
    """Return a picture with edges that are multiples of 32, uint8 (height, width, 3), RGB.

    Args:
        path: The file.
        longer_px: Its longer edge, about.
        smallest_px: The network's smallest edge.

    Raises:
        DataError: It cannot be read.
    """
    try:
        picture = np.asarray(ImageFile.read(path).decode((longer_px, longer_px)))
    except UnusableImage as unusable:
        raise DataError(
            f"{path}: {unusable.reason}.", expected="a picture that can be read", fix="name another file."
        ) from unusable
    scale = longer_px / max(picture.shape[:2])
    height, width = (round_edge(edge * scale, smallest_px) for edge in picture.shape[:2])
    return to_pixels(resize(picture, (height, width)))


def plan_works(
    network: DreamNetwork, options: DreamOptions, paths: Sequence[Path], outputs: Mapping[str, int]
) -> list[Work]:
    """Return the pictures that are asked for.

    Args:
        network: Asked for its gradients.
        options: Checked.
        paths: The pictures given, and the one whose style is wanted as the last.
        outputs: Numbers of the classes that are asked for, by name.

    Raises:
        BackboneError: The pictures are too small for the network.
        DataError: A picture cannot be read.
        SettingError: There is no such channel, or the memory does not suffice.
    """
    planner = _Planner(network, options, [*paths])
    match options.wish:
        case Wish.CLASS:
            return [planner.plan_class(name, output) for name, output in outputs.items()]
        case Wish.CHANNEL:
            return [planner.plan_channel(*channel) for channel in parse_channels(options.channels, network.entry)]
        case Wish.AMPLIFY:
            return [planner.plan_amplified()]
        case Wish.INVERT:
            return [planner.plan_inversion(boundary) for boundary in options.invert]
        case Wish.TEXTURE:
            return [planner.plan_texture()]
        case _:
            return [planner.plan_style()]


@dataclass(frozen=True)
class _Planner:
    network: DreamNetwork
    options: DreamOptions
    paths: list[Path]

    @property
    def entry(self) -> BackboneEntry:
        return self.network.entry

    @property
    def longer_px(self) -> int:
        return self.options.size_px or SIZES_PX[self.options.wish]

    def read(self, place: int = 0) -> NDArray[np.uint8]:
        return read_picture(self.paths[place], self.longer_px, self.entry.smallest_edge_px)

    def square(self) -> tuple[int, int]:
        edge = round_edge(self.longer_px, self.entry.smallest_edge_px)
        return edge, edge

    def paint(
        self, size: tuple[int, int], open_gradient: Callable[[], Gradient], brush: Brush
    ) -> Callable[[], Iterator[Frame | None]]:
        """Return what begins a painting on random waves."""
        self.network.check_memory(size)

        def begin() -> Iterator[Frame | None]:
            rng = np.random.default_rng(self.options.seed)
            return paint(Canvas.draw(size, rng), open_gradient(), brush, rng)

        return begin

    def plan_class(self, name: str, output: int) -> Work:
        size = self.network.backbone.image_size
        brush = self.brush(size, is_shifted=True)
        begin = self.paint(size, partial(self.network.oppose_output, output), brush)
        return Work(f"Class {name}", f"class-{name}", brush.num_steps, begin)

    def plan_channel(self, boundary: str, channel: int) -> Work:
        size = self.square()
        number = self.network.read_shape(boundary)[-1]
        if channel >= number:
            raise SettingError(
                f"--channel {boundary}:{channel}: the map at {boundary} has {number:,} channels.",
                expected=f"0 to {number - 1:,}",
                fix=f"--channel {boundary}:{number - 1}",
            )
        brush = self.brush(size, is_shifted=True)
        begin = self.paint(size, partial(self.network.oppose_channel, size, boundary, channel), brush)
        return Work(f"Channel {channel} at {boundary}", f"channel-{boundary}-{channel}", brush.num_steps, begin)

    def plan_amplified(self) -> Work:
        boundary, rng = self.entry.boundary(self.options.amplify), np.random.default_rng(self.options.seed)
        if self.paths:
            picture, name = self.read(), self.paths[0].stem
        else:
            picture, name = to_pixels(rng.normal(127, NOISE_CONTRAST, (*self.square(), 3))), "noise"
        self.network.check_memory((min(picture.shape[0], TILE_PX), min(picture.shape[1], TILE_PX)))

        def begin() -> Iterator[Frame | None]:
            return amplify(
                picture,
                lambda size: self.network.oppose_all(size, boundary),
                num_steps=self.options.steps,
                smallest_px=self.entry.smallest_edge_px,
                rng=rng,
            )

        title = f"{name}, with what {boundary} sees in it made stronger"
        return Work(title, f"{name}-amplified-{boundary}", self.options.steps, begin, {name: picture})

    def plan_inversion(self, boundary: str) -> Work:
        boundary, picture, name = self.entry.boundary(boundary), self.read(), self.paths[0].stem
        size = (picture.shape[0], picture.shape[1])
        brush = self.brush(size)
        begin = self.paint(size, partial(self.network.compare_features, picture, boundary), brush)
        title = f"{name}, made again from its features at {boundary}"
        return Work(title, f"{name}-inverted-{boundary}", brush.num_steps, begin, {name: picture})

    def plan_texture(self) -> Work:
        size, picture, name = self.square(), self.read(), self.paths[0].stem
        brush = self.brush(size)
        gradient = partial(self.network.compare_style, size, picture, self.find_style_boundaries())
        begin = self.paint(size, gradient, brush)
        return Work(f"The texture of {name}", f"{name}-texture", brush.num_steps, begin, {name: picture})

    def plan_style(self) -> Work:
        content, style = self.read(0), self.read(1)
        names = [path.stem for path in self.paths]
        size = (content.shape[0], content.shape[1])
        self.network.check_memory(size)
        boundaries = self.find_style_boundaries()
        place = self.entry.boundary(self.options.boundary) if self.options.boundary else boundaries[-1]
        brush = Brush(self.options.steps, STYLE_RATE, smoothness=SMOOTHNESS, blur_px=self.options.blur_px)

        def begin() -> Iterator[Frame | None]:
            gradient = self.network.compare_style(size, style, boundaries, content, place, self.options.strength)
            return paint(Canvas.hold(content), gradient, brush, np.random.default_rng(self.options.seed))

        given = {names[0]: content, f"style: {names[1]}": style}
        return Work(f"{names[0]} in the style of {names[1]}", "-as-".join(names), brush.num_steps, begin, given)

    def brush(self, size: tuple[int, int], *, is_shifted: bool = False) -> Brush:
        shift_px = SHIFT_SHARE * max(size) if is_shifted else 0
        blur_px = self.options.blur_px
        return Brush(self.options.steps, RATE, shift_px=shift_px, smoothness=SMOOTHNESS, blur_px=blur_px)

    def find_style_boundaries(self) -> list[str]:
        """Return the boundaries whose maps are fine enough for a style, from the pixels upwards; at least one."""
        edge = self.network.backbone.image_size[0]
        names = self.entry.boundaries[1:]
        return [name for name in names if self.network.read_shape(name)[0] * COARSEST_STYLE_PX >= edge] or [names[0]]
