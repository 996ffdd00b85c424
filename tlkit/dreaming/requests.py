"""What a network is asked to dream, checked before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tlkit.backbones.catalogue import PIXELS, BackboneEntry
from tlkit.errors import SettingError

MIN_SIZE_PX, MAX_SIZE_PX = 32, 4096


class Wish(StrEnum):
    """The kinds of dreams; the value is the option that asks for one."""

    CLASS = "--class"
    CHANNEL = "--channel"
    AMPLIFY = "--amplify"
    INVERT = "--invert"
    TEXTURE = "--texture"
    STYLE = "--style"
    FOOL = "--fool"
    REPORT = "--report"


DEFAULT_STEPS = {
    Wish.CLASS: 256,
    Wish.CHANNEL: 256,
    Wish.AMPLIFY: 40,
    Wish.INVERT: 256,
    Wish.TEXTURE: 256,
    Wish.STYLE: 200,
}
ON_CANVAS = (Wish.CLASS, Wish.CHANNEL, Wish.INVERT, Wish.TEXTURE, Wish.STYLE)
"""What is painted on a canvas, which can be blurred."""
NUM_PICTURES = {
    Wish.AMPLIFY: (0, 1),
    Wish.INVERT: (1, 1),
    Wish.TEXTURE: (1, 1),
    Wish.STYLE: (1, 1),
    Wish.FOOL: (1, None),
}
"""The fewest and the most pictures that each needs; None: any number. The others need none."""
_NEEDS_RUN = (Wish.CLASS, Wish.FOOL, Wish.REPORT)


@dataclass(frozen=True)
class DreamOptions:
    """What is asked for: exactly one of the fields up to `report`, but for several classes, channels or boundaries of one.

    Attributes:
        class_names: Classes whose pictures are made.
        channels: Channels whose pictures are made, such as group3:17.
        amplify: Boundary whose map is made stronger in a picture; empty for none.
        invert: Boundaries from whose maps a picture is made again.
        texture: Whether the texture of a picture is made anew.
        style: Picture whose style is given to another; empty for none.
        fool: Class that pictures are to be taken for; empty for none.
        report: Whether the run's held-out images are attacked.
        boundary: Where `style` takes the content; empty for its own choice.
        strength: Weight of the style; the content has 1.
        weights: Weights of a backbone; None for its default. A run has its own.
        size_px: Longer edge of the pictures; None for what suits each.
        num_steps: None for what suits each.
        blur_px: Standard deviation of a blur now and then; 0 for none.
        number: Held-out images that are attacked, at most.
        seed: Seed of noise, shifts and random starts.
    """

    class_names: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    amplify: str = ""
    invert: tuple[str, ...] = ()
    texture: bool = False
    style: str = ""
    fool: str = ""
    report: bool = False
    boundary: str = ""
    strength: float = 10.0
    weights: str | None = None
    size_px: int | None = None
    num_steps: int | None = None
    blur_px: float = 0.0
    number: int = 100
    seed: int = 0

    @property
    def wishes(self) -> list[Wish]:
        """The kinds that are asked for."""
        given = (
            self.class_names,
            self.channels,
            self.amplify,
            self.invert,
            self.texture,
            self.style,
            self.fool,
            self.report,
        )
        return [wish for wish, value in zip(Wish, given, strict=True) if value]

    @property
    def wish(self) -> Wish:
        """The one kind, of checked options."""
        return self.wishes[0]

    @property
    def steps(self) -> int:
        """Steps of each picture."""
        return self.num_steps or DEFAULT_STEPS.get(self.wish, 0)


def check_options(options: DreamOptions, sources: Sequence[object], *, model: str, is_run: bool) -> None:
    """Check that one thing is asked for, that it goes with the model, and that its pictures are given.

    Args:
        options: What is asked for.
        sources: Pictures.
        model: The run or backbone, as the user wrote it.
        is_run: Whether it is a run.

    Raises:
        SettingError: Otherwise.
    """
    wishes, choices = options.wishes, ", ".join(Wish)
    if len(wishes) != 1:
        found = " and ".join(wishes)
        raise SettingError(
            f"{found} together: a command makes one kind of picture." if wishes else "Nothing to dream of is named.",
            expected=f"one of {choices}",
            fix=f"tlkit dream {model} {wishes[0] if wishes else '--channel group3:0'} … --out dreams/",
        )
    (wish,) = wishes
    if wish in _NEEDS_RUN and not is_run:
        raise SettingError(
            f"{wish}: {model} is a backbone alone, which has no classes.",
            expected="a run, made by `tlkit finetune`",
            fix="name a run, or use --channel.",
        )
    if options.weights is not None and is_run:
        raise SettingError(
            f"--weights {options.weights}: {model} is a run, which has its own.",
            expected="--weights only with the name of a backbone",
            fix="leave out --weights.",
        )
    _check_numbers(options)
    _check_sources(wish, sources, model)
    if options.boundary and wish is not Wish.STYLE:
        raise SettingError(
            f"--boundary {options.boundary} has no effect with {wish}.",
            expected="--boundary only with --style",
            fix="leave out --boundary.",
        )


def _check_numbers(options: DreamOptions) -> None:
    size = options.size_px
    if size is not None and not MIN_SIZE_PX <= size <= MAX_SIZE_PX:
        raise SettingError(
            f"--size {size}.", expected=f"{MIN_SIZE_PX} to {MAX_SIZE_PX:,} pixels", fix="give another --size."
        )
    if size is not None and options.wish in _NEEDS_RUN:
        raise SettingError(
            f"--size {size} has no effect with {options.wish}: a run answers at its own size.",
            expected="--size only with --channel, --amplify, --invert, --texture and --style",
            fix="leave out --size.",
        )
    if options.blur_px and options.wish not in ON_CANVAS:
        raise SettingError(
            f"--blur {options.blur_px:g} has no effect with {options.wish}.",
            expected=f"--blur only with {', '.join(ON_CANVAS)}",
            fix="leave out --blur.",
        )
    if options.num_steps is not None and options.wish not in DEFAULT_STEPS:
        raise SettingError(
            f"--steps {options.num_steps} has no effect with {options.wish}.",
            expected=f"--steps only with {', '.join(DEFAULT_STEPS)}",
            fix="leave out --steps.",
        )


def _check_sources(wish: Wish, sources: Sequence[object], model: str) -> None:
    fewest, most = NUM_PICTURES.get(wish, (0, 0))
    if len(sources) < fewest or (most is not None and len(sources) > most):
        expected = {(0, 0): "no picture", (0, 1): "one picture, or none", (1, 1): "one picture"}
        raise SettingError(
            f"{wish} was given {len(sources) or 'no'} picture{'s' * (len(sources) > 1)}.",
            expected=expected.get((fewest, most), "pictures") if most is not None else "one picture or more",
            fix=f"tlkit dream {model}{' PICTURE' * bool(fewest)} {wish} … --out dreams/",
        )


def parse_channels(channels: Sequence[str], entry: BackboneEntry) -> list[tuple[str, int]]:
    """Return (boundary, number) of each channel.

    Raises:
        BackboneError: There is no such boundary.
        SettingError: It is no boundary and number, or the pixels are named.
    """
    parsed = []
    for channel in channels:
        name, _, number = channel.rpartition(":")
        if not name or not number.isdecimal():
            raise SettingError(
                f"--channel {channel}: not a boundary and a number.",
                expected=f"BOUNDARY:NUMBER, such as {entry.boundaries[-2]}:0",
                fix=f"--channel {entry.boundaries[-2]}:0; `tlkit backbones {entry.name}` prints the boundaries.",
            )
        parsed.append((check_boundary(name, entry, "--channel"), int(number)))
    return parsed


def check_boundary(name: str, entry: BackboneEntry, option: str) -> str:
    """Return the canonical name of a boundary that has a map.

    Raises:
        BackboneError: There is no such boundary.
        SettingError: The pixels are named.
    """
    boundary = entry.boundary(name)
    if boundary == PIXELS:
        raise SettingError(
            f"{option} {name}: the pixels are the picture itself.",
            expected=f"one of {', '.join(entry.boundaries[1:])}",
            fix=f"{option} {entry.boundaries[1]}",
        )
    return boundary
