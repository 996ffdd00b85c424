"""The candidates of `tlkit compare`: backbones and boundaries for probes, or heads, policies and views for training."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlkit.backbones.catalogue import TOP
from tlkit.backbones.weights import check_weights
from tlkit.data.views import PICTURE_ITSELF, ViewPlan
from tlkit.errors import SettingError
from tlkit.features.ensure import check_boundary
from tlkit.heads import LINEAR
from tlkit.metrics.whitenings import STANDARDISED, Whitening
from tlkit.outputs import DETECTION
from tlkit.recipes import (
    BackboneSettings,
    DataSettings,
    HeadSettings,
    Recipe,
    ResolvedBackbone,
    Stage,
    build_settings,
    check_recipe,
    has_single_box,
    resolve_backbone,
)
from tlkit.recipes.given import refuse_mosaics
from tlkit.tasks import find_task


@dataclass(frozen=True)
class ComparisonRequest:
    """The lists to compare, as the user gave them; an empty list means the default.

    Attributes:
        backbones: `NAME`, or `NAME:WEIGHTS`.
        boundaries: Boundaries at which to cut each backbone.
        heads: `KIND`, or `KIND:UNITS`.
        policies: Augmentation policies.
        views: Numbers of cached views.
        whiten: What the features are made into, for the probe or the heads: `KIND`, or `KIND:FLOOR`.
    """

    backbones: Sequence[str] = ()
    boundaries: Sequence[str] = ()
    heads: Sequence[str] = ()
    policies: Sequence[str] = ()
    views: Sequence[str] = ()
    whiten: Sequence[str] = ()

    @property
    def is_trained(self) -> bool:
        """Whether candidates have to be trained rather than probed."""
        return bool(self.heads or self.policies or self.views)


@dataclass(frozen=True)
class Candidate:
    """A candidate of a comparison.

    Attributes:
        name: A name that distinguishes it from the others.
        backbone: The network.
        boundary: The boundary at which it is cut.
        head: The head to train on its features; None for a probe.
        views: The views of the training images.
        whitening: What a probe makes of its features.
    """

    name: str
    backbone: ResolvedBackbone
    boundary: str
    head: HeadSettings | None = None
    views: ViewPlan = PICTURE_ITSELF
    whitening: Whitening = STANDARDISED


def list_candidates(requested: ComparisonRequest, settings: BackboneSettings, *, seed: int) -> list[Candidate]:
    """Return all requested combinations, checked before any heavy import.

    Args:
        requested: The lists.
        settings: Backbone settings other than name and weights.
        seed: Seed of the views.

    Raises:
        SettingError: A name or number is invalid, has no effect, or appears twice.
        BackboneError: A backbone, boundary or its weights do not exist.
    """
    backbones = requested.backbones or [settings.name]
    if requested.is_trained:
        candidates = list(_list_trainings(requested, backbones, settings, seed))
    else:
        candidates = list(_list_probes(requested, backbones, settings))
    names = [candidate.name for candidate in candidates]
    for name in names:
        if names.count(name) > 1:
            raise SettingError(f"{name} appears twice.", expected="different candidates", fix="remove one of them.")
    return candidates


def check_task(requested: ComparisonRequest, data: DataSettings) -> None:
    """Check that what is to be predicted can be compared.

    Heads that answer at places are not trained: one training for each fold and candidate takes too long.

    Args:
        requested: The lists.
        data: The task, and where its objects or masks are.

    Raises:
        SettingError: Heads, policies or views are to be compared for objects or masks, or there are boxes that are not used.
    """
    if requested.is_trained and find_task(data.task).has_objects:
        raise SettingError(
            f"--heads, --policies and --views are compared by trainings, which tlkit compare does not do for {data.task}.",
            expected="--backbones and --boundaries, which are compared by a probe",
            fix="train with each of them by tlkit finetune, and compare the validation scores.",
        )
    if requested.whiten and find_task(data.task).has_objects:
        raise SettingError(
            f"--whiten {','.join(requested.whiten)} has no effect: a probe of places takes the principal components of maps.",
            expected=f"--whiten for another task than {data.task}",
            fix="leave out --whiten.",
        )
    if has_single_box(data):
        raise SettingError(
            f"--boxes {data.boxes} has no effect: candidates are compared by {data.task} alone.",
            expected=f"--boxes with --task {DETECTION}",
            fix=f"leave out --boxes, or add --task {DETECTION}.",
        )


def _list_probes(
    requested: ComparisonRequest, backbones: Sequence[str], settings: BackboneSettings
) -> Iterator[Candidate]:
    whitenings = _list_whitenings(requested, HeadSettings(kind=LINEAR))
    for text, boundary, head in itertools.product(backbones, requested.boundaries or [TOP], whitenings):
        network, label = _read_backbone(text, backbones, settings)
        boundary = check_boundary(network.entry, boundary)
        name = (f"{label} at {boundary}" if requested.boundaries else label) + _describe_whitening(head, requested)
        yield Candidate(name, network, boundary, whitening=head.whitening)


def _list_trainings(
    requested: ComparisonRequest, backbones: Sequence[str], settings: BackboneSettings, seed: int
) -> Iterator[Candidate]:
    if requested.boundaries:
        raise SettingError(
            f"--boundaries {','.join(requested.boundaries)} together with --heads, --policies or --views.",
            expected="boundaries, which are compared by a probe, or heads and views, which are trained at the top",
            fix="remove one or the other.",
        )
    heads = [_read_head(text) for text in requested.heads or [HeadSettings().kind]]
    plans = _list_views(requested, seed)
    for text, kind, views in itertools.product(backbones, heads, plans):
        network, label = _read_backbone(text, backbones, settings)
        parts = (
            _describe_head(kind) if len(heads) > 1 or not requested.views else "",
            _describe_views(views) if requested.views else "",
        )
        name = " with ".join(filter(None, parts))
        if len(backbones) > 1:
            name = f"{label}: {name}"
        for head in _list_whitenings(requested, kind):
            yield Candidate(name + _describe_whitening(head, requested), network, TOP, head, views)


def _list_whitenings(requested: ComparisonRequest, head: HeadSettings) -> list[HeadSettings]:
    """Return a head with each of the requested whitenings; the head itself if none are."""
    return [_read_whitening(text, head) for text in requested.whiten] or [head]


def _read_whitening(text: str, head: HeadSettings) -> HeadSettings:
    kind, _, floor = text.partition(":")
    given: dict[str, Any] = {"whiten": kind}
    if floor:
        try:
            given["whiten_floor"] = float(floor)
        except ValueError as error:
            raise SettingError(
                f"--whiten has {text!r}.", expected="KIND, or KIND:FLOOR", fix="--whiten none,pca:0.1"
            ) from error
    whitened: HeadSettings = build_settings(HeadSettings, given, "--whiten:", head)
    check_recipe(Recipe(head=whitened), source=f"--whiten {text}")
    return whitened


def _describe_whitening(head: HeadSettings, requested: ComparisonRequest) -> str:
    """Return the end of a candidate's name: " (pca)", " (pca:0.3)"; empty without --whiten."""
    if not requested.whiten:
        return ""
    usual = head.whiten_floor == HeadSettings().whiten_floor
    return f" ({head.whiten})" if usual else f" ({head.whiten}:{head.whiten_floor:g})"


def _list_views(requested: ComparisonRequest, seed: int) -> list[ViewPlan]:
    """Return all numbers of views for all policies; a single view is the image itself, whatever the policy."""
    numbers = [_read_number(text, "--views", "1,4,8") for text in requested.views] or [1]
    if requested.policies and max(numbers) == 1:
        raise SettingError(
            f"--policies {','.join(requested.policies)} has no effect: a single view is the image itself.",
            expected="--views with a number above 1",
            fix="add --views 4.",
        )
    policies = [
        build_settings(Stage, {"policy": policy}, "--policies:").policy
        for policy in requested.policies or [Stage().policy]
    ]
    for policy in policies:
        refuse_mosaics(policy, "--policies")
    return [
        ViewPlan(policy, number, seed) if number > 1 else PICTURE_ITSELF
        for number, policy in itertools.product(numbers, policies)
        if number > 1 or policy == policies[0]
    ]


def _read_head(text: str) -> HeadSettings:
    kind, _, units = text.partition(":")
    given = {"kind": kind} | ({"units": _read_number(units, "--heads", "conv:128")} if units else {})
    head: HeadSettings = build_settings(HeadSettings, given, "--heads:")
    check_recipe(Recipe(head=head), source=f"--heads {text}")
    return head


def _read_number(text: str, option: str, example: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise SettingError(f"{option} has {text!r}.", expected="whole numbers, 1 or more", fix=f"{option} {example}")
    return int(text)


def _describe_head(head: HeadSettings) -> str:
    return head.kind if head.units == HeadSettings().units else f"{head.kind}:{head.units}"


def _describe_views(views: ViewPlan) -> str:
    return "1 view" if views.num_views == 1 else f"{views.num_views} {views.policy} views"


def _read_backbone(text: str, backbones: Sequence[str], settings: BackboneSettings) -> tuple[ResolvedBackbone, str]:
    """Return a checked backbone and its name, with the weights' name if backbones share a name."""
    name, _, weights = text.partition(":")
    network = resolve_backbone(dataclasses.replace(settings, name=name, weights=weights or None))
    check_weights(network.entry, network.weights)
    is_one_of_several = weights and sum(name in each for each in backbones) > 1
    label = f"{name} ({Path(weights).name})" if is_one_of_several else name
    return network, label
