"""What is known to have no gradient by its name has none."""

from importlib import import_module

import pytest

from dina_lrm.rewards.gradients import WITHOUT_GRADIENT, check_gradient
from dina_lrm.rewards.names import REWARDS


@pytest.mark.parametrize("family", REWARDS)
def test_the_classes_say_the_same(family):
    row = REWARDS[family]
    found = getattr(import_module(row.module), row.loader.partition(".")[0])
    said = getattr(found, "differentiable", None)
    if isinstance(said, bool) and family != "python":  # a function shows it when it is asked
        assert said is (family not in WITHOUT_GRADIENT)
    if family in WITHOUT_GRADIENT:
        with pytest.raises(ValueError, match="has no gradient, which ReFL and guidance need"):
            check_gradient([f"{family}:model"])
    else:
        check_gradient([f"{family}:model"])
