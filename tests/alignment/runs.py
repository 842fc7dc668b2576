"""Small alignment runs on the bundled generators."""

import math
from dataclasses import replace

import torch

from dina_lrm.alignment.algorithms.distill.settings import DistillConfig
from dina_lrm.alignment.algorithms.dpo_settings import DpoConfig, DpoSettings
from dina_lrm.alignment.algorithms.forward.awm_settings import AwmConfig
from dina_lrm.alignment.algorithms.forward.craft.settings import CraftConfig, CraftSettings
from dina_lrm.alignment.algorithms.forward.grouped.crd_settings import CrdConfig
from dina_lrm.alignment.algorithms.forward.grouped.dgpo_settings import DgpoConfig
from dina_lrm.alignment.algorithms.forward.nft_settings import NftConfig
from dina_lrm.alignment.algorithms.forward.settings import ForwardSettings
from dina_lrm.alignment.algorithms.grpo.dense_settings import DenseSettings
from dina_lrm.alignment.algorithms.grpo.settings import GrpoConfig, GrpoSettings
from dina_lrm.alignment.algorithms.lpo_settings import LpoConfig, LpoSettings
from dina_lrm.alignment.algorithms.refl_settings import ReflConfig, ReflSettings
from dina_lrm.alignment.monitor.settings import LookSettings
from dina_lrm.alignment.pairs.algorithm import PairPreference
from dina_lrm.alignment.pairs.learned import learned_pairs
from dina_lrm.alignment.pairs.source import Found
from dina_lrm.alignment.trainer import ALGORITHMS, AlignmentRun
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.generators.generator import Generator
from dina_lrm.generators.settings import GeneratorSettings
from dina_lrm.runs.processes import Processes
from dina_lrm.sampling.objective import Objective
from dina_lrm.sampling.reward_term import RewardTerm
from dina_lrm.synthetic.world import bundled_pipeline

PROMPTS = ["a small red ring on white", "two large blue bars on black", "a large green square on grey"]
_SHARED = {
    "steps": 4,
    "batch_size": 4,
    "micro_batch": 2,
    "generator": GeneratorSettings("synthetic", 32, 0, rank=2, alpha=4.0, sampling_steps=4, guidance=3.0),
    "rewards": (RewardTerm("latent:synthetic", noise_level=0.2),),
    "lr": 1e-2,
    "ema_every": 1,
    "looks": LookSettings(every=2, images=1),
    "checkpoint_every": 2,
}
REFL = ReflConfig(**_SHARED, refl=ReflSettings(first=2, last=3))
GRPO = GrpoConfig(**_SHARED, grpo=GrpoSettings(group=2, window_steps=2, clip=1e-2))
LPO = LpoConfig(**_SHARED, lpo=LpoSettings(candidates=3, low=0.0, high=0.01))
DPO = DpoConfig(**_SHARED, dpo=DpoSettings(prompts=3, candidates=2))
NFT = NftConfig(**_SHARED, forward=ForwardSettings(group=2, levels_per_image=3, kl_weight=1e-2))
AWM = AwmConfig(**_SHARED, forward=ForwardSettings(group=4, updates=1, old="short", level_choice="logit-normal"))
DISTILL = DistillConfig(**_SHARED)
CRAFT = CraftConfig(**_SHARED, craft=CraftSettings(prompts=3, candidates=3, baseline="mean"))
CRD = CrdConfig(**_SHARED, forward=ForwardSettings(group=4, levels_per_image=2, old="firm", transform="win-rate"))
DGPO = DgpoConfig(**_SHARED, forward=ForwardSettings(group=2, levels_per_image=2, old="short"))
EVERYTHING = replace(
    GRPO,
    grpo=replace(
        GRPO.grpo, credit="dense", dense=DenseSettings("noisy"), trust="divergence", step_weights="tempflow",
        kl_weight=1e-2, kl_gate=("sharpness",), kl_share=0.5, diverse=True,
    ),
)  # fmt: skip
"""Flow-GRPO with all that was made of it."""
STEP_GROUPS = replace(LPO, lpo=replace(LPO.lpo, loss="group", clip=1e-2))
CONFIGS = (REFL, GRPO, LPO, DPO, NFT, AWM, CRAFT, CRD, DGPO, DISTILL)
OWN_PAIRS = {
    kind: replace(DPO, name="own pairs", dpo=DpoSettings(kind=kind, beta=50.0, winner_weight=0.01))
    for kind in ("dpo", "ipo", "kto")
}
"""Runs on pairs that are given (`given_pairs`), by their loss."""

LAUNCHED = {
    **{config.algorithm: config for config in CONFIGS},
    "dpo on pairs": OWN_PAIRS["dpo"],
    "kto on pairs": OWN_PAIRS["kto"],
    "everything": EVERYTHING,
    "step-groups": STEP_GROUPS,
}
"""What is compared between one process and two, by name."""


def variance_preserving(config):
    """The same run for a generator that is no rectified flow: a stochastic step of its own kind."""
    for part in {"grpo", "lpo"} & set(vars(config)):
        config = replace(config, **{part: replace(getattr(config, part), kernel="ddim", eta=1.0)})
    return config


def a_generator(config=REFL, name=None):
    settings = config.generator
    pipeline = bundled_pipeline(name or settings.pretrained)
    return Generator(pipeline, 32, settings.rank, settings.alpha, 0, settings.guidance)


def encoded_pairs(generator, preference=(1.0, 0.0, 0.75, 0.5, 1.0), order=None, swapped=()):
    """Pairs of pictures of noise, of two sizes; in another order, and with sides swapped."""
    count, side = len(preference), generator.resolution
    sizes = [(side, side), (side // 2, side)]
    latents = []
    with torch.no_grad():
        for number, (height, width) in enumerate(sizes):
            noise = torch.randn(2 * count, 3, height, width, generator=torch.Generator().manual_seed(number))
            latents.append(generator.backbone.encode_images(noise.clamp(-1, 1)))
        told = generator.encode_prompts(PROMPTS)
    rows = torch.tensor(range(count) if order is None else order)
    a, b, said = 2 * torch.arange(count), 2 * torch.arange(count) + 1, torch.tensor(preference)
    for pair in swapped:
        a[pair], b[pair], said[pair] = b[pair].clone(), a[pair].clone(), 1 - said[pair]
    bucket, prompt, weight = torch.arange(count) % 2, torch.arange(count) % 3, 1.0 + torch.arange(count)
    columns = (told, a[rows], b[rows], prompt[rows], said[rows], weight[rows], bucket[rows], PROMPTS)
    return EncodedComparisons.from_tensors(latents, *columns)


def given_pairs(generator, kto=False, shown=(), **more):
    """What a run on pairs learns from."""
    return learned_pairs(Found(encoded_pairs(generator, **more)), PROMPTS.__contains__, shown, kto)


def a_run(config, folder, resume=False, stop_after=None):
    generator, pairs = a_generator(config), None
    if config.name == "own pairs":
        pairs = given_pairs(generator, config.dpo.kind == "kto", PROMPTS[:1])
    run = AlignmentRun(config, generator, PROMPTS, PROMPTS[:2], folder, resume, pairs=pairs)
    looks = []
    outcome = run.run(looks.append, lambda *_: None, stop_after)
    return run, looks, outcome


def an_algorithm(config, generator=None):
    kind = ALGORITHMS[type(config)]
    generator = generator or a_generator(config)
    return kind(
        config, generator, Objective(generator, config.rewards, kind.differentiable), PROMPTS, Processes(cpu=True)
    )


def pairs_algorithm(config, generator=None, pairs=None):
    """The algorithm on given pairs, of a LoRA that has learned a little where the generator is not given."""
    if generator is None:
        generator = a_generator(config)
        with torch.no_grad():
            for number, parameter in enumerate(generator.parameters.values()):
                parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
    pairs = pairs or given_pairs(generator, config.dpo.kind == "kto")
    return PairPreference(config, generator, Objective(generator, config.rewards, False), pairs, Processes(cpu=True))


def an_update_on_pairs(config, generator=None, pairs=None, step=0):
    """The outcome of one update, whose gradients stay where they are."""
    algorithm = pairs_algorithm(config, generator, pairs)
    every = algorithm.generator.parameters.values()
    norm = lambda: math.sqrt(sum(p.grad.square().sum().item() for p in every if p.grad is not None))  # noqa: E731
    return algorithm.update(step, norm)


def updated(config, generator=None, lr=0.0, step=0):
    """The outcome of one update with plain gradient steps; gradients stay where they are without a rate."""
    algorithm = an_algorithm(config, generator)

    def learn():
        parameters = [p for p in algorithm.generator.parameters.values() if p.grad is not None]
        norm = math.sqrt(sum(p.grad.square().sum().item() for p in parameters))
        if lr:
            with torch.no_grad():
                for parameter in parameters:
                    parameter -= lr * parameter.grad
                    parameter.grad = None
        return norm

    return algorithm.update(step, learn)


def with_rewards(config, *names):
    return replace(config, rewards=tuple(RewardTerm(name) for name in names))
