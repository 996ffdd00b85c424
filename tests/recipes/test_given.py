"""Settings as words: what a command line makes of them again is the same settings."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from tlkit.api.arguments import plan_views
from tlkit.cli.options import settings_options
from tlkit.errors import SettingError
from tlkit.recipes import BackboneSettings, DataSettings, HeadSettings, Stage, TrainingSettings
from tlkit.recipes.given import collect_settings, list_words, refuse_mosaics


def test_only_what_differs_from_the_default_is_named() -> None:
    assert list_words(BackboneSettings()) == []
    words = list_words(BackboneSettings(name="resnet50", image_size=160))
    assert words == ["--backbone", "resnet50", "--image-size", "160"]


@pytest.mark.parametrize(
    "settings",
    [
        DataSettings(sample=0.25, label_column="a column", strict=True),
        BackboneSettings(name="tiny", weights="random", fit="pad"),
        HeadSettings(kind="linear", dropout=0.1),
        TrainingSettings(seed=7, weight_decay=1e-5),
        Stage(unfreeze="conv5", lr=3e-5, group_lr={"conv5": 1e-5, "head": 0.5}, views=4),
    ],
    ids=lambda settings: type(settings).__name__,
)
def test_the_words_give_the_settings_back(settings: Any) -> None:
    given = []

    @click.command()
    @settings_options(type(settings))
    def command(**options: Any) -> None:
        given.append(collect_settings(type(settings), options))

    CliRunner().invoke(command, list_words(settings), catch_exceptions=False)
    assert given == [settings]


def test_mosaics_are_refused_where_one_image_is_judged() -> None:
    refuse_mosaics("scales", "--policy")
    refuse_mosaics(None, "--policy")
    with pytest.raises(SettingError) as refusal:
        plan_views(3, "mosaic")
    assert str(refusal.value) == (
        "--policy mosaic: a mosaic shows four images, and each is judged by itself.\n"
        "  Expected: a policy whose views show one image\n"
        "  Fix: use --policy scales."
    )
    assert plan_views(3, "mosaic", for_training=True).policy == "mosaic"
