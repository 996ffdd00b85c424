"""Every setting says what it is, and its default obeys its own rule."""

from __future__ import annotations

import dataclasses

import pytest

from tlkit.recipes import SECTIONS, Stage

FIELDS = [field for section in (*SECTIONS.values(), Stage) for field in dataclasses.fields(section)]


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_a_setting_has_a_sentence_of_help_and_a_default_that_is_allowed(field: dataclasses.Field[object]) -> None:
    assert field.metadata["help"].endswith(".")
    if field.default is not dataclasses.MISSING:
        assert field.metadata["rule"].allows(field.default)


def test_no_two_settings_share_a_flag() -> None:
    flags = [field.metadata["flag"] or field.name for field in FIELDS]
    assert sorted(flags) == sorted(set(flags))
