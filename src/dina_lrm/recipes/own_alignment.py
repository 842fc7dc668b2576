"""Alignment of a generator of one's own, of any family: how it is sampled is read from its folder.

Resolution, prompt length, steps and guidance are the generator's (`usual_settings`), the stochastic steps are those of
its process. Updates are small enough for one GPU. What it learns from has to be said, with `--reward`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from dina_lrm.alignment.algorithms.distill.settings import DistillConfig
from dina_lrm.alignment.algorithms.dpo_settings import DpoConfig, DpoSettings
from dina_lrm.alignment.algorithms.forward.awm_settings import AwmConfig
from dina_lrm.alignment.algorithms.forward.craft.settings import CraftConfig, CraftSettings
from dina_lrm.alignment.algorithms.forward.grouped.crd_settings import CrdConfig
from dina_lrm.alignment.algorithms.forward.grouped.dgpo_settings import DgpoConfig
from dina_lrm.alignment.algorithms.forward.nft_settings import NftConfig
from dina_lrm.alignment.algorithms.forward.settings import ForwardSettings
from dina_lrm.alignment.algorithms.grpo.settings import GrpoConfig, GrpoSettings
from dina_lrm.alignment.algorithms.lpo_settings import LpoConfig, LpoSettings
from dina_lrm.alignment.algorithms.refl_settings import ReflConfig, ReflSettings
from dina_lrm.alignment.config import AlignConfig
from dina_lrm.alignment.monitor.settings import LookSettings
from dina_lrm.backbones.anatomy import anatomy_of
from dina_lrm.generators.settings import usual_settings
from dina_lrm.locate import BUNDLED, BUNDLED_LORAS, absolute, locate_reward_model
from dina_lrm.recipes.own import Given
from dina_lrm.rewards.relative_name import inner_name
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.sampling.reward_term import RewardTerm, named_term
from dina_lrm.typed import DinaError

_GENERATOR: Final = "--generator.pretrained"
_LOOKS: Final = 16
_WIDE: Final = 1024
"""From this width on, activations are computed again in the backward pass."""


def own_refl(
    pretrained: str = "synthetic",
    reward: str = "latent:synthetic",
    steps: int = 20,
    **told: Any,  # noqa: ANN401
) -> ReflConfig:
    """ReFL on a generator of one's own, through the last quarter of its steps.

    `dina-lrm align refl --generator.pretrained FOLDER --reward latent:RUN --prompts prompts.txt --out runs/refl`
    """
    config = ReflConfig(**_shared(pretrained, reward, **told), refl=ReflSettings(first=0, last=0))
    return _sampled(config, steps, refl=ReflSettings(first=3 * steps // 4, last=steps - 1))


def own_grpo(
    pretrained: str = "synthetic",
    reward: str = "latent:synthetic",
    steps: int = 10,
    **told: Any,  # noqa: ANN401
) -> GrpoConfig:
    """Flow-GRPO-Fast on a generator of one's own: groups of eight, three stochastic steps of its own process.

    `dina-lrm align flow-grpo --generator.pretrained FOLDER --reward clip --prompts prompts.txt --out runs/grpo`
    """
    shared = _groups(pretrained, reward, **told)
    settings = GrpoSettings(group=8, clip=1e-4, window_steps=min(3, steps - 1), **_kernel(pretrained))
    return _sampled(GrpoConfig(**shared, grpo=replace(settings, window_steps=1)), steps, grpo=settings)


def own_lpo(
    pretrained: str = "synthetic",
    reward: str = "latent:synthetic",
    steps: int = 20,
    **told: Any,  # noqa: ANN401
) -> LpoConfig:
    """Latent preference optimisation on a generator of one's own, with candidates of its own process.

    `dina-lrm align lpo --generator.pretrained FOLDER --reward latent:RUN --prompts prompts.txt --out runs/lpo`
    """
    config = LpoConfig(**_shared(pretrained, reward, **told), lpo=LpoSettings(**_kernel(pretrained)))
    return _sampled(config, steps)


def own_dpo(
    pretrained: str = "synthetic",
    reward: str = "latent:synthetic",
    steps: int = 20,
    **told: Any,  # noqa: ANN401
) -> DpoConfig:
    """Offline preference optimisation on a generator of one's own: pairs of samples that the reward ranked.

    `dina-lrm align dpo --generator.pretrained FOLDER --reward clip --prompts prompts.txt --out runs/dpo`
    """
    config = DpoConfig(**_shared(pretrained, reward, **told), dpo=DpoSettings(prompts=64))
    return _sampled(config, steps)


def own_nft(
    pretrained: str = "synthetic",
    reward: str = "latent:synthetic",
    steps: int = 10,
    **told: Any,  # noqa: ANN401
) -> NftConfig:
    """DiffusionNFT on a generator of one's own: groups of eight, which its samples without guidance are learned from.

    `dina-lrm align nft --generator.pretrained FOLDER --reward clip --prompts prompts.txt --out runs/nft`
    """
    settings = ForwardSettings(group=8, shared_noise=True, kl_weight=1e-4)
    return _sampled(NftConfig(**_groups(pretrained, reward, **told), forward=settings), steps)


def own_awm(
    pretrained: str = "synthetic",
    reward: str = "latent:synthetic",
    steps: int = 10,
    **told: Any,  # noqa: ANN401
) -> AwmConfig:
    """Advantage-weighted matching on a generator of one's own: groups of eight, drawn without guidance.

    `dina-lrm align awm --generator.pretrained FOLDER --reward clip --prompts prompts.txt --out runs/awm`
    """
    settings = ForwardSettings(group=8, old="short", scope="group", shared_noise=True)
    return _sampled(AwmConfig(**_groups(pretrained, reward, **told), forward=settings), steps)


def own_craft(
    pretrained: str = "synthetic",
    reward: str = "latent:synthetic",
    steps: int = 20,
    **told: Any,  # noqa: ANN401
) -> CraftConfig:
    """CRAFT on a generator of one's own: samples that the reward prefers to the first of their prompt, drawn once.

    `dina-lrm align craft --generator.pretrained FOLDER --reward clip --prompts prompts.txt --out runs/craft`
    """
    config = CraftConfig(**_shared(pretrained, reward, **told), craft=CraftSettings(prompts=64))
    return _sampled(config, steps)


def own_crd(
    pretrained: str = "synthetic",
    reward: str = "latent:synthetic",
    steps: int = 10,
    **told: Any,  # noqa: ANN401
) -> CrdConfig:
    """Centred reward distillation on a generator of one's own: groups of eight, drawn without guidance.

    `dina-lrm align crd --generator.pretrained FOLDER --reward clip --prompts prompts.txt --out runs/crd`
    """
    settings = ForwardSettings(group=8, old="firm", kl_weight=1e-4)
    return _sampled(CrdConfig(**_groups(pretrained, reward, **told), forward=settings), steps)


def own_dgpo(
    pretrained: str = "synthetic",
    reward: str = "latent:synthetic",
    steps: int = 10,
    **told: Any,  # noqa: ANN401
) -> DgpoConfig:
    """Direct group preference optimisation on a generator of one's own: groups of eight, drawn without guidance.

    `dina-lrm align dgpo --generator.pretrained FOLDER --reward clip --prompts prompts.txt --out runs/dgpo`
    """
    settings = ForwardSettings(group=8, old="short", scope="group")
    return _sampled(DgpoConfig(**_groups(pretrained, reward, **told), forward=settings), steps)


def own_distill(
    pretrained: str = "synthetic",
    reward: str = "latent:synthetic",
    steps: int = 10,
    **told: Any,  # noqa: ANN401
) -> DistillConfig:
    """On-policy distillation of a generator of one's own under guidance of the reward: ten steps, of which nine learn.

    `dina-lrm align distill --generator.pretrained FOLDER --reward latent:RUN --prompts prompts.txt --out runs/distill`
    """
    return _sampled(DistillConfig(**_shared(pretrained, reward, **told) | {"lr": 3e-4}), steps)


def own_best(
    pretrained: str = "synthetic",
    reward: str = "latent:synthetic",
    steps: int = 10,
    **told: Any,  # noqa: ANN401
) -> DistillConfig:
    """What gained most at equal compute, on a generator of one's own: its own guidance is distilled with the reward.

    `dina-lrm align best --generator.pretrained FOLDER --reward latent:RUN --prompts prompts.txt --out runs/best`

    What comes out is sampled without guidance, at half the cost a picture. A generator that has none learns from the
    reward alone.
    """
    config = own_distill(pretrained, reward, steps, **told)
    usual = config.generator.guidance
    if usual <= 1:
        return replace(config, name="own-best")
    alone = replace(config.generator, guidance=1.0)
    return replace(config, name="own-best", generator=alone, distill=replace(config.distill, guidance=usual))


OWN_ALIGNMENTS: Final[Mapping[type[AlignConfig], Callable[..., AlignConfig]]] = {
    ReflConfig: own_refl,
    GrpoConfig: own_grpo,
    LpoConfig: own_lpo,
    DpoConfig: own_dpo,
    NftConfig: own_nft,
    AwmConfig: own_awm,
    CraftConfig: own_craft,
    CrdConfig: own_crd,
    DgpoConfig: own_dgpo,
    DistillConfig: own_distill,
}
"""The recipe own of each algorithm."""


def own_alignment_of(make: Callable[..., AlignConfig], given: Given) -> AlignConfig:
    """A recipe own as options ask for it. Raises ValueError without a reward, and as `usual_settings` does."""
    # With pairs of people a reward only looks on: measuring how sharp pictures are takes no model
    reward = given("--reward") or ("sharpness" if given("--pairs") else None)
    if reward is None:
        raise DinaError(
            "--reward: what is to be learned is missing; accepted: latent:RUN (a reward model trained on this "
            "generator, see dina-lrm train), clip, pickscore, python:FILE.FUNCTION, ..."
        )
    told: dict[str, Any] = {
        "looks": _looks(given),
        "resolution": _count(given("--generator.resolution")),
        "steps": _count(given("--generator.sampling-steps")),
    }
    chosen = {name: value for name, value in told.items() if value is not None}
    return make(given(_GENERATOR) or "synthetic", reward, **chosen)


def with_generator(words: Sequence[str], given: Given) -> list[str]:
    """The words with the generator that a latent reward reads, where they name neither a recipe nor a generator."""
    named = (words and not words[0].startswith("-")) or any(given(name) for name in (_GENERATOR, "--config"))
    reward = given("--reward") or ""
    if named or not reward:
        return list(words)
    from dina_lrm.rewards.names import reward_family  # rewards come with torch, and help needs none

    kind, model = reward_family(inner_name(named_term("--reward", reward).name))
    if kind != "latent":
        return list(words)
    backbone = read_json_object(locate_reward_model(model) / "config.json").get("backbone")
    pretrained = backbone.get("pretrained") if isinstance(backbone, Mapping) else None
    return [*words, _GENERATOR, str(pretrained)] if pretrained else list(words)


def _shared(pretrained: str, reward: str, looks: int = _LOOKS, resolution: int | None = None) -> dict[str, Any]:
    """What runs of all algorithms share."""
    pretrained = absolute(pretrained)
    generator = replace(usual_settings(pretrained, resolution), gradient_checkpointing=_width(pretrained) >= _WIDE)
    return {
        "name": "own",
        "steps": 100,
        "batch_size": 16,
        "micro_batch": 2,
        "generator": generator,
        "rewards": (RewardTerm(reward),),
        "ema_every": 1,
        "looks": LookSettings(every=10, prompts=looks, images=1, golden="cnn" if _bundled(pretrained) else None),
        "checkpoint_every": 10,
    }


def _groups(pretrained: str, reward: str, **told: Any) -> dict[str, Any]:  # noqa: ANN401
    """What runs on groups of samples share: larger batches, and a higher rate."""
    return _shared(pretrained, reward, **told) | {"batch_size": 32, "micro_batch": 4, "lr": 3e-4}


def _sampled(config: Any, steps: int, **more: Any) -> Any:  # noqa: ANN401 - of any algorithm
    """The run with so many steps of sampling; pictures that are looked at have as many as the generator usually has."""
    usual = config.generator.sampling_steps
    looks = replace(config.looks, sampling_steps=None if usual == steps else usual)
    return replace(config, generator=replace(config.generator, sampling_steps=steps), looks=looks, **more)


def _kernel(pretrained: str) -> dict[str, Any]:
    """The stochastic step of its process: a flow's, or DDIM's."""
    return {"kernel": "flow-sde", "eta": 0.7} if anatomy_of(_base(pretrained)).flow else {"kernel": "ddim", "eta": 1.0}


def _width(pretrained: str) -> int:
    return anatomy_of(_base(pretrained)).width


def _base(pretrained: str) -> str:
    """The generator itself, of one that is bundled with a LoRA."""
    return BUNDLED_LORAS[pretrained][0] if pretrained in BUNDLED_LORAS else pretrained


def _bundled(pretrained: str) -> bool:
    return pretrained in BUNDLED or pretrained in BUNDLED_LORAS


def _looks(given: Given) -> int | None:
    """Half of the prompts where there are few; None where the words say it, or name none."""
    prompts = given("--prompts")
    if given("--looks.prompts") or given("--look-prompts") or prompts is None or not Path(prompts).exists():
        return None
    # Readers of tables take seconds to import, and help needs none
    from dina_lrm.data.held_out import same_text
    from dina_lrm.data.prompt_sets import read_prompt_set

    different = len({same_text(prompt) for prompt in read_prompt_set(Path(prompts)).prompts})
    return max(1, min(_LOOKS, different // 2))


def _count(text: str | None) -> int | None:
    """A number of at least 2; None for anything else, which is refused where options are read."""
    return int(text) if text is not None and text.isdecimal() and int(text) > 1 else None
