"""The checks of shapes that the tests rely on are there, for the first calls of a function."""

import pytest
import torch
from jaxtyping import Float, TypeCheckError, jaxtyped
from torch import Tensor

from dina_lrm.preference import likelihood
from tests.typecheck import CALLS, first_calls, modules_with_shapes


@jaxtyped(typechecker=first_calls)
def doubled(x: Float[Tensor, "a a"]) -> Float[Tensor, "a a"]:
    return 2 * x


def test_a_wrong_shape_is_seen_in_the_first_calls_alone():
    with pytest.raises(TypeCheckError):
        doubled(torch.ones(2, 3))
    for _ in range(CALLS):
        doubled(torch.ones(2, 2))
    assert doubled(torch.ones(2, 3)).shape == (2, 3)


def test_modules_of_the_package_are_checked():
    assert {likelihood.__name__, "dina_lrm.reward_model.model"} <= set(modules_with_shapes())
    assert hasattr(likelihood.Thurstone.log_cdf, "__wrapped__")
