from __future__ import annotations

from dataclasses import Field, fields

import pytest

from model.settings import ModelSettings


@pytest.mark.parametrize("field", fields(ModelSettings), ids=lambda field: field.name)
def test_every_setting_explains_itself_and_its_default_is_allowed(field: Field[object]) -> None:
    assert field.metadata["help"].endswith(".")
    is_open = field.default == field.metadata.get("automatic")
    if isinstance(field.default, int | float) and not isinstance(field.default, bool) and not is_open:
        assert field.metadata["min"] <= field.default <= field.metadata["max"]
    assert field.default in field.metadata.get("choices", [field.default])
