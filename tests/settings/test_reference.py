"""The declarations of the settings, and the page made from them."""

from pathlib import Path

import pytest

from prefork.settings import OPTIONS, Settings
from prefork.settings.reference import PAGE, reference_page

ROOT = Path(__file__).parents[2]


def test_the_reference_page_is_up_to_date():
    """
    Else: python -m prefork.settings.reference
    """
    assert (ROOT / PAGE).read_text() == reference_page()


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_each_setting_is_a_sentence_of_its_own(option):
    """
    Help ends with a full stop; the text of a default is one that may be given.
    """
    assert option.help.endswith(".")
    assert option.default in (None, "auto") or option.form.convert(option.default) is not None


def test_no_flag_means_two_things():
    """
    Names, short names and aliases are all different.
    """
    flags = [flag for option in OPTIONS for flag in (option.flag, *option.aliases)]
    flags += [option.short for option in OPTIONS if option.short]

    assert len(flags) == len(set(flags))


def test_every_field_belongs_to_a_setting():
    """
    And to only one; but for those that are found out and not said.
    """
    fields = [name for option in OPTIONS for name in option.fields]
    fields += ["command", "loop_maximum", "outside_kinds"]

    assert sorted(Settings.__dataclass_fields__) == sorted(fields)
