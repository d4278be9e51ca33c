"""Versions of exported data, and settings as a mapping."""

import pytest

from domain.errors import InvalidInput
from domain.export_records import EXPORT_DATA_VERSION, Setting, checked_version, setting_pairs


def test_an_export_of_this_builds_version_can_be_read() -> None:
    """As the number that every export begins with."""
    assert checked_version(EXPORT_DATA_VERSION) == EXPORT_DATA_VERSION


@pytest.mark.parametrize("version", [EXPORT_DATA_VERSION + 1, EXPORT_DATA_VERSION - 1, None, "one"])
def test_an_export_of_another_version_is_refused(version: object) -> None:
    """It says what it found and what would read it."""
    with pytest.raises(
        InvalidInput, match=f"version {version!r} is not known here .* read it with the release"
    ):
        checked_version(version)


def test_settings_are_one_mapping_for_formats_that_have_one() -> None:
    """By name, with their values as they are."""
    settings = [Setting(name="tone", value="dry"), Setting(name="langs", value=["de", "en"])]
    assert setting_pairs(settings) == {"tone": "dry", "langs": ["de", "en"]}
