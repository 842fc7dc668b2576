"""The argument of `from_pretrained` that says in what type weights are loaded.

diffusers calls it `dtype` since 0.40, transformers since 4.56; older ones read `torch_dtype`, and some let the new name
pass without a word and load in float32.
"""

from importlib.metadata import version

import torch
from packaging.version import Version

Argument = dict[str, torch.dtype | str]


def for_diffusers(dtype: torch.dtype) -> Argument:
    """Return the argument that pipelines and models of diffusers take."""
    return {"dtype" if Version(version("diffusers")) >= Version("0.40") else "torch_dtype": dtype}


def for_transformers(dtype: torch.dtype | str) -> Argument:
    """Return the argument that models of transformers take; "auto" is the type that they are stored in."""
    return {"dtype" if Version(version("transformers")) >= Version("4.56") else "torch_dtype": dtype}
