"""Settings of an alignment that were given and would do nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dina_lrm.alignment.algorithms.dpo_settings import DpoConfig
from dina_lrm.alignment.algorithms.forward.awm_settings import AwmConfig
from dina_lrm.alignment.algorithms.forward.grouped.crd_settings import CrdConfig
from dina_lrm.alignment.algorithms.forward.grouped.dgpo_settings import DgpoConfig
from dina_lrm.alignment.algorithms.forward.nft_settings import NftConfig
from dina_lrm.alignment.algorithms.grpo.settings import GrpoConfig
from dina_lrm.alignment.algorithms.lpo_settings import LpoConfig
from dina_lrm.alignment.algorithms.refl_settings import ReflConfig
from dina_lrm.alignment.config import AlignConfig
from dina_lrm.runs.settings import Applies, changed_settings, check_applies, nearest

_REFL: Final[tuple[Applies[Any], ...]] = (
    Applies(("refl.first", "refl.last"), lambda c: c.refl.through in ("one", "prfl"), "--refl.through one or prfl"),
    Applies(("refl.through_steps",), lambda c: c.refl.through in ("drtune", "draft"), "--refl.through drtune or draft"),
    Applies(("refl.margin",), lambda c: c.refl.shaping == "relu", "--refl.shaping relu"),
    Applies(
        ("refl.pretraining_samples",), lambda c: c.refl.pretraining_weight > 0, "--refl.pretraining-weight above 0"
    ),
)
_GRPO: Final[tuple[Applies[Any], ...]] = (
    Applies(("grpo.window_until",), lambda c: c.grpo.window == "random", "--grpo.window random"),
    Applies(("grpo.window_period",), lambda c: c.grpo.window == "sliding", "--grpo.window sliding"),
    Applies(("grpo.window_steps",), lambda c: c.grpo.window != "every", "another --grpo.window than every"),
    Applies(
        ("grpo.kl", "grpo.reset_every", "grpo.reset_kl"), lambda c: c.grpo.kl_weight > 0, "--grpo.kl-weight above 0"
    ),
    Applies(("grpo.combination",), lambda c: len(c.rewards) > 1, "several rewards"),
    Applies(("grpo.clip",), lambda c: c.grpo.trust == "clip", "--grpo.trust clip"),
    Applies(("grpo.divergence",), lambda c: c.grpo.trust == "divergence", "--grpo.trust divergence"),
    Applies(("grpo.kl_share",), lambda c: bool(c.grpo.kl_gate), "--grpo.kl-gate"),
    Applies(("grpo.dense.",), lambda c: c.grpo.credit == "dense", "--grpo.credit dense"),
    Applies(
        ("grpo.dense.look_ahead",), lambda c: c.grpo.dense.reading == "look-ahead", "--grpo.dense.reading look-ahead"
    ),
    Applies(("grpo.dense.level_scale",), lambda c: c.grpo.dense.reading == "noisy", "--grpo.dense.reading noisy"),
    Applies(("grpo.dense.first_gain",), lambda c: not c.grpo.shared_noise, "no --grpo.shared-noise, which allows it"),
)
_FORWARD: Final[tuple[Applies[Any], ...]] = (
    Applies(
        ("forward.kl_guidance", "forward.kl_by_reward"),
        lambda c: c.forward.kl_weight > 0,
        "--forward.kl-weight above 0",
    ),
    Applies(("forward.combination",), lambda c: len(c.rewards) > 1, "several rewards"),
    Applies(("forward.scope", "forward.advantage_clip"), lambda c: not c.win_rates, "--forward.transform none"),
)
_WITH_A_COPY: Final = "another --forward.old than copy, or several --forward.updates"
"""What makes the older policy another one than the one that learns."""
_NFT: Final[tuple[Applies[Any], ...]] = (*_FORWARD, Applies(("nft.beta",), lambda c: c.copies > 0, _WITH_A_COPY))
_AWM: Final[tuple[Applies[Any], ...]] = (
    *_FORWARD,
    Applies(("awm.hold", "awm.clip"), lambda c: c.copies > 0, _WITH_A_COPY),
    Applies(("awm.power",), lambda c: c.awm.weighting == "ghuber", "--awm.weighting ghuber"),
)
_DPO: Final[tuple[Applies[Any], ...]] = (
    Applies(("dpo.liked_weight", "dpo.disliked_weight"), lambda c: c.dpo.kind == "kto", "--dpo.kind kto"),
)
_LPO: Final[tuple[Applies[Any], ...]] = (
    Applies(
        ("lpo.low", "lpo.high", "lpo.quantity", "lpo.beta", "lpo.epsilon"),
        lambda c: c.lpo.loss == "pair",
        "--lpo.loss pair",
    ),
    Applies(("lpo.clip",), lambda c: c.lpo.loss == "group", "--lpo.loss group"),
)
_DGPO: Final[tuple[Applies[Any], ...]] = (
    *_FORWARD,
    Applies(("dgpo.clip",), lambda c: c.copies > 0, _WITH_A_COPY),
)
_RULES: Final[Mapping[type[AlignConfig], tuple[Applies[Any], ...]]] = {
    ReflConfig: _REFL,
    GrpoConfig: _GRPO,
    NftConfig: _NFT,
    AwmConfig: _AWM,
    DpoConfig: _DPO,
    LpoConfig: _LPO,
    CrdConfig: _FORWARD,
    DgpoConfig: _DGPO,
}


def check_asked(config: AlignConfig, recipes: Mapping[str, AlignConfig]) -> None:
    """Raise ValueError naming a setting in which `config` differs from its recipe, and which has no effect."""
    plain = {name: recipe.to_dict() for name, recipe in recipes.items()}
    given = changed_settings(plain[nearest(config.to_dict(), plain)], config.to_dict())
    check_applies(config, given, _RULES.get(type(config), ()))
