"""A picture whose coarse and fine structures, and whose colours, can be changed at the same pace.

Gradient ascent on pixels ends in noise: each pixel follows its own gradient, fine structures first. Here the variables
are the waves that the picture is made of, each in proportion to its share in natural photographs (amplitude 1/frequency),
in colours that do not go together there (grey, red against blue, green against both), through a sigmoid that keeps the
picture within 0..255. Olah et al., 2017, https://distill.pub/2017/feature-visualization.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

COLOURS = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
"""Grey, red against blue, and green against both: rows, orthonormal, close to the principal colours of photographs."""
COLOUR_SPREADS = np.array([2.5, 0.65, 0.3])
"""Standard deviation of each in natural photographs, as logits of 0..1."""
BRIGHTEST, DARKEST = 253.0, 2.0
"""Where the pixels of a given picture are clipped: the logits of 0 and 255 are infinite."""
_DECAYS = (0.9, 0.999)
_EPSILON = 1e-8


class Canvas:
    """A picture, made of waves, that gradients change.

    Its edges join: what leaves at the right comes in at the left.

    Attributes:
        size: (height, width) in pixels.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        height, width = self.size = size
        frequencies = np.hypot(np.fft.fftfreq(height)[:, np.newaxis], np.fft.rfftfreq(width))
        self._frequencies = frequencies
        self._copies = np.full(width // 2 + 1, 2.0)  # a real picture has each inner column of waves twice
        self._copies[0] = 1
        if width % 2 == 0:
            self._copies[-1] = 1
        amplitudes = 1 / np.maximum(frequencies, 1 / max(size))
        power = (amplitudes**2 * self._copies).sum() / (height * width)
        self._scale: NDArray[np.float64] = amplitudes / np.sqrt(power) * COLOUR_SPREADS[:, np.newaxis, np.newaxis]
        self._waves = np.zeros((3, *frequencies.shape), np.complex128)
        self._means = np.zeros((*self._waves.shape, 2))
        self._squares = np.zeros_like(self._means)
        self._num_steps = 0

    @classmethod
    def draw(cls, size: tuple[int, int], rng: np.random.Generator, *, contrast: float = 0.1) -> Canvas:
        """Return a canvas of random waves.

        Args:
            size: (height, width) in pixels.
            rng: Draws them.
            contrast: 1 for that of a photograph.
        """
        canvas = cls(size)
        noise = rng.normal(0, contrast, (2, *canvas._waves.shape))
        canvas._waves = noise[0] + 1j * noise[1]
        return canvas

    @classmethod
    def hold(cls, picture: NDArray[Any]) -> Canvas:
        """Return a canvas that holds a picture, (height, width, 3), RGB, 0..255, but for its darkest and brightest pixels."""
        height, width = picture.shape[:2]
        canvas = cls((height, width))
        shares = np.clip(np.asarray(picture, np.float64), DARKEST, BRIGHTEST) / 255
        fields = np.tensordot(COLOURS, np.log(shares / (1 - shares)), ((1,), (2,)))
        canvas._waves = np.fft.rfft2(fields, norm="ortho") / canvas._scale
        return canvas

    def render(self) -> NDArray[np.float32]:
        """Return the picture, float32 (height, width, 3), RGB, 0..255."""
        fields = np.fft.irfft2(self._waves * self._scale, self.size, norm="ortho")
        logits = np.tensordot(fields, COLOURS, ((0,), (0,)))
        return (255 / (1 + np.exp(-logits))).astype(np.float32)

    def pull_back(self, gradient: NDArray[np.floating[Any]]) -> NDArray[np.complex128]:
        """Return a gradient by the waves, given that by the pixels of `render`, (height, width, 3).

        The real part is the derivative by the real part of a wave, the imaginary by the imaginary.
        """
        shares = self.render().astype(np.float64) / 255
        logits = np.asarray(gradient, np.float64) * 255 * shares * (1 - shares)
        fields = np.tensordot(COLOURS, logits, ((1,), (2,)))
        pulled: NDArray[np.complex128] = np.fft.rfft2(fields, norm="ortho") * self._copies * self._scale
        return pulled

    def descend(self, gradient: NDArray[np.floating[Any]], rate: float) -> None:
        """Take a step of Adam against a gradient by the pixels.

        Args:
            gradient: (height, width, 3).
            rate: The step of each wave, in standard deviations of its amplitude in photographs.
        """
        self._num_steps += 1
        parts = self.pull_back(gradient)
        slopes = np.stack([parts.real, parts.imag], axis=-1)
        first, second = _DECAYS
        self._means = first * self._means + (1 - first) * slopes
        self._squares = second * self._squares + (1 - second) * slopes**2
        mean = self._means / (1 - first**self._num_steps)
        deviation = np.sqrt(self._squares / (1 - second**self._num_steps))
        step = rate * mean / (deviation + _EPSILON * (deviation.max() or 1))
        self._waves -= step[..., 0] + 1j * step[..., 1]

    def blur(self, radius_px: float) -> None:
        """Take fine structures away, as a Gaussian blur of that standard deviation does."""
        self._waves *= np.exp(-2 * (np.pi * radius_px * self._frequencies) ** 2)
