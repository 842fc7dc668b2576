"""The contract of the reward model, as laws on a tiny real one."""

import io
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.precision import default_device
from dina_lrm.preference.likelihood import BradleyTerry, Thurstone
from dina_lrm.reward_model.inputs import PromptTruncatedWarning, ResizeWarning
from dina_lrm.reward_model.model import LatentRewardModel
from tests.models import SHAPE, some_conditioning, some_images, some_latents, tiny_config, tiny_reward_model
from tests.tiny import tiny_sd3_pipeline

ENSEMBLE = (0.2, 0.5, 0.7)
PROMPTS = ["a red cube", "the blue ball", "a red cube", "a small green table", "the large ball on a table"]


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> LatentRewardModel:
    return tiny_reward_model(tiny_folder)


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def test_a_model_is_loaded_on_the_first_device_that_there_is(model: LatentRewardModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "model")
    loaded = LatentRewardModel.from_pretrained(tmp_path / "model", device="auto")
    assert loaded.device.type == default_device()
    images = some_images(2)
    close(loaded.score(images, PROMPTS[0]).cpu(), model.score(images, PROMPTS[0]))


class TestAScoreIsAFunctionOfItsOwnInputs:
    def test_at_any_batch_size_and_in_any_order(self, model: LatentRewardModel) -> None:
        images = some_images(65)
        prompts = [PROMPTS[i % 5] for i in range(65)]
        together = model.score(images, prompts, batch_size=64)
        assert together.dtype == torch.float32
        assert together.std() > 0
        for i in (0, 1, 40, 64):
            close(model.score(images[i], prompts[i]), together[i : i + 1])
        close(model.score(images, prompts, batch_size=7), together)
        order = torch.randperm(65, generator=torch.Generator().manual_seed(0))
        close(model.score(images[order], [prompts[i] for i in order], batch_size=16), together[order])

    def test_an_ensemble_too(self, model: LatentRewardModel) -> None:
        images = some_images(6)
        alone = torch.cat([model.score(image, "a red cube", ENSEMBLE) for image in images])
        close(model.score(images, "a red cube", ENSEMBLE), alone)

    def test_the_global_generator_plays_no_part(self, model: LatentRewardModel) -> None:
        images = some_images(2)
        torch.manual_seed(1)
        first = model.score(images, "a red cube")
        state = torch.get_rng_state()
        assert torch.equal(model.score(images, "a red cube"), first)
        assert torch.equal(torch.get_rng_state(), state)

    def test_the_seed_and_the_level_do(self, model: LatentRewardModel) -> None:
        images = some_images(2)
        first = model.score(images, "a red cube")
        assert not torch.allclose(model.score(images, "a red cube", seed=1), first)
        assert not torch.allclose(model.score(images, "a red cube", noise_level=0.6), first)
        assert not torch.allclose(model.score(images, "the blue ball"), first)
        assert torch.equal(model.score(images, "a red cube", noise_level=model.config.noise_level), first)

    def test_without_noise_the_seed_does_not_matter(self, model: LatentRewardModel) -> None:
        images = some_images(2)
        assert torch.equal(model.score(images, "a red cube", 0.0), model.score(images, "a red cube", 0, seed=5))

    def test_training_mode_changes_nothing_and_comes_back(self, tiny_folder: Path) -> None:
        from dina_lrm.backbones.settings import LoraSettings
        from dina_lrm.heads.settings import QFormerConfig

        head, lora = QFormerConfig(attention_heads=4, dropout=0.5), LoraSettings(rank=2, dropout=0.5)
        model = tiny_reward_model(tiny_folder, head=head, lora=lora)
        expected = model.score(some_images(2), "a red cube")
        model.train()
        flags = [module.training for module in model.modules()]
        assert torch.equal(model.score(some_images(2), "a red cube"), expected)
        assert [module.training for module in model.modules()] == flags


class TestTheSourcesOfAnImage:
    def test_all_give_one_score(self, model: LatentRewardModel, tmp_path: Path) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        image = Image.fromarray(pixels)
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        (tmp_path / "a.png").write_bytes(buffer.getvalue())
        tensor = torch.from_numpy(pixels).permute(2, 0, 1)
        sources = [tmp_path / "a.png", str(tmp_path / "a.png"), buffer.getvalue(), image, pixels, tensor, tensor / 255]
        scores = model.score(sources, "a red cube")
        close(scores, scores[:1].expand(len(sources)))
        close(model.score(image, "a red cube"), scores[:1])

    def test_score_is_score_latents_of_the_encoded_image(self, model: LatentRewardModel) -> None:
        images = some_images(3)
        latents, conditioning = model.encode_images(images), model.encode_prompts(PROMPTS[:3])
        assert latents.shape == (3, *SHAPE)
        close(model.score_latents(latents, conditioning), model.score(images, PROMPTS[:3]))

    def test_images_of_several_shapes_keep_their_order(self, model: LatentRewardModel) -> None:
        square, wide = some_images(3), torch.rand(2, 3, 24, 40, generator=torch.Generator().manual_seed(1))
        mixed = [square[0], wide[0], square[1], wide[1], square[2]]
        expected = torch.cat([model.score(image, "a red cube") for image in mixed])
        close(model.score(mixed, "a red cube"), expected)

    def test_an_image_of_the_bucket_is_not_reported(self, model: LatentRewardModel) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.score(some_images(1), "a red cube")

    def test_resized_images_are_reported_once_with_counts(self, model: LatentRewardModel) -> None:
        images = [*some_images(3, side=48), torch.rand(3, 48, 80), some_images(1)[0]]
        with pytest.warns(ResizeWarning, match=r"score: 4 of 5 images .*: 3 to 32x32, 1 to 40x24") as caught:
            model.score(images, "a red cube", batch_size=2)
        assert len(caught) == 1

    def test_resizing_is_the_one_of_the_images_module(self, model: LatentRewardModel) -> None:
        from dina_lrm.data.buckets import Bucket
        from dina_lrm.images import to_pixels

        image = torch.rand(3, 50, 47)
        fitted = (to_pixels([image], Bucket(32, 32))[0] + 1) / 2
        with pytest.warns(ResizeWarning):
            close(model.score(image, "a red cube"), model.score(fitted, "a red cube"))


class TestPrompts:
    def test_each_distinct_prompt_is_encoded_once(
        self, model: LatentRewardModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[str] = []
        encode = model.backbone.encode_prompt_batches

        def counted(batches: list[list[str]]) -> Iterator[Conditioning]:
            seen.extend(prompt for batch in batches for prompt in batch)
            return encode(batches)

        monkeypatch.setattr(model.backbone, "encode_prompt_batches", counted)
        model.score(some_images(10), PROMPTS * 2, batch_size=3)
        assert sorted(seen) == sorted(set(PROMPTS))

    def test_truncated_prompts_are_reported_once(self, model: LatentRewardModel) -> None:
        long = "a red cube on the left of a large blue ball on a small green table"
        with pytest.warns(PromptTruncatedWarning, match="score: 1 of 2 prompts were truncated; .*8 kept") as caught:
            model.score(some_images(4), [long, "a ball"] * 2, batch_size=1)
        assert len(caught) == 1
        with pytest.warns(PromptTruncatedWarning, match="encode_prompts: 1 of 1"):
            assert len(model.encode_prompts(long)) == 1

    def test_one_conditioning_serves_all_latents(self, model: LatentRewardModel) -> None:
        latents, one = some_latents(3), some_conditioning(1)
        close(model.score_latents(latents, one), model.score_latents(latents, one.repeat_interleave(3)))
        close(model.score_noisy(latents, 0.3, one), model.score_noisy(latents, 0.3, one.repeat_interleave(3)))


class TestNoise:
    def test_every_item_and_level_sees_the_same_draw(self, model: LatentRewardModel) -> None:
        from dina_lrm.diffusion import seeded_noise

        latents, conditioning = some_latents(3), some_conditioning(3)
        noise = seeded_noise(SHAPE, 7).expand(3, *SHAPE)
        for levels in (0.3, ENSEMBLE):
            by_seed = model.score_latents(latents, conditioning, levels, seed=7)
            assert torch.equal(model.score_latents(latents, conditioning, levels, noise=noise, seed=99), by_seed)

    def test_given_noise_overrides_the_seed_item_by_item(self, model: LatentRewardModel) -> None:
        latents, conditioning, noise = some_latents(2), some_conditioning(2), some_latents(2, seed=5)
        both = model.score_latents(latents, conditioning, noise=noise)
        swapped = model.score_latents(latents, conditioning, noise=noise.flip(0))
        assert not torch.allclose(both, swapped, rtol=1e-4)
        for i in range(2):
            close(model.score_latents(latents[i : i + 1], conditioning[i], noise=noise[i : i + 1])[0], both[i])

    def test_forward_with_an_axis_of_levels_is_the_ensemble(self, model: LatentRewardModel) -> None:
        latents, conditioning, noise = some_latents(3), some_conditioning(3), some_latents(3, seed=5)
        levels = torch.tensor([0.2, 0.5, 0.7])
        noisy = torch.stack([model.process.add_noise(latents, noise, level) for level in levels], dim=1)
        with torch.no_grad():
            together = model(noisy, levels.expand(3, -1), conditioning)[:, 0]
        close(model.score_latents(latents, conditioning, levels.tolist(), noise=noise), together)

    def test_score_noisy_of_the_noised_latent_is_score_latents(self, model: LatentRewardModel) -> None:
        latents, conditioning, noise = some_latents(3), some_conditioning(3), some_latents(3, seed=5)
        noisy = 0.7 * latents + 0.3 * noise
        expected = model.score_latents(latents, conditioning, 0.3, noise=noise)
        close(model.score_noisy(noisy, 0.3, conditioning), expected)
        close(model.score_noisy(noisy, torch.full((3,), 0.3), conditioning), expected)
        close(model(noisy, torch.full((3,), 0.3), conditioning)[:, 0], expected)

    def test_score_noisy_takes_a_level_for_each_item(self, model: LatentRewardModel) -> None:
        noisy, conditioning, levels = some_latents(3), some_conditioning(3), torch.tensor([0.0, 0.4, 1.0])
        together = model.score_noisy(noisy, levels, conditioning)
        for i in range(3):
            close(model.score_noisy(noisy[i : i + 1], float(levels[i]), conditioning[i])[0], together[i])


class TestEnsembles:
    def test_of_one_level_is_the_single_level(self, model: LatentRewardModel) -> None:
        latents, conditioning = some_latents(3), some_conditioning(3)
        single = model.score_latents(latents, conditioning, 0.3)
        assert torch.equal(model.score_latents(latents, conditioning, [0.3]), single)
        close(model.score_latents(latents, conditioning, (0.3, 0.3)), single)

    def test_do_not_depend_on_the_order_of_levels(self, model: LatentRewardModel) -> None:
        latents, conditioning = some_latents(3), some_conditioning(3)
        forward = model.score_latents(latents, conditioning, ENSEMBLE)
        close(model.score_latents(latents, conditioning, ENSEMBLE[::-1]), forward)
        assert not torch.allclose(model.score_latents(latents, conditioning, 0.2), forward, rtol=1e-4)

    def test_score_levels_is_all_of_them_in_one_pass_a_level(
        self, model: LatentRewardModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        latents, conditioning = some_latents(3), some_conditioning(3)
        levels, ensembles = [0.2, 0.4, 0.2], [ENSEMBLE, (0.4,)]
        expected = [model.score_latents(latents, conditioning, level) for level in [*levels, *ensembles]]
        passes: list[float] = []
        features = model.backbone.features

        def counted(noisy: Tensor, level: Tensor, conditioning: Conditioning) -> object:
            passes.append(round(float(level[0]), 6))
            return features(noisy, level, conditioning)

        monkeypatch.setattr(model.backbone, "features", counted)
        scores = model.score_levels(latents, conditioning, levels, ensembles)
        assert sorted(passes) == [0.2, 0.4, 0.5, 0.7]
        assert scores.single.shape == (3, 3)
        assert scores.ensembles.shape == (3, 2)
        close(torch.cat([scores.single, scores.ensembles], dim=1), torch.stack(expected, dim=1))

    def test_score_levels_of_nothing(self, model: LatentRewardModel) -> None:
        scores = model.score_levels(some_latents(2), some_conditioning(2), [])
        assert scores.single.shape == scores.ensembles.shape == (2, 0)


class TestGradients:
    @pytest.mark.parametrize("levels", [0.4, ENSEMBLE])
    def test_match_finite_differences(self, model: LatentRewardModel, levels: float | tuple[float, ...]) -> None:
        conditioning = some_conditioning(1)
        latents = some_latents(1).requires_grad_()
        [gradient] = torch.autograd.grad(model.score_latents(latents, conditioning, levels).sum(), latents)
        assert torch.isfinite(gradient).all()
        direction = gradient / gradient.norm()
        step = 0.05
        with torch.no_grad():
            up = model.score_latents(latents + step * direction, conditioning, levels)
            down = model.score_latents(latents - step * direction, conditioning, levels)
        torch.testing.assert_close((up - down)[0] / (2 * step), gradient.norm(), rtol=1e-2, atol=1e-5)

    def test_of_noisy_latents_flow_too(self, model: LatentRewardModel) -> None:
        noisy = some_latents(2).requires_grad_()
        model.score_noisy(noisy, 0.5, some_conditioning(1)).sum().backward()
        assert torch.isfinite(noisy.grad).all()
        assert noisy.grad.abs().max() > 0

    def test_there_is_no_graph_without_need(self, model: LatentRewardModel) -> None:
        latents, conditioning = some_latents(1), some_conditioning(1)
        assert not model.score_latents(latents, conditioning).requires_grad
        assert not model.score(some_images(1), "a red cube").requires_grad
        with torch.no_grad():
            assert not model.score_latents(latents.requires_grad_(), conditioning).requires_grad

    def test_scores_can_be_used_in_other_graphs(self, model: LatentRewardModel) -> None:
        weight = torch.ones(2, requires_grad=True)
        (weight * model.score(some_images(2), "a red cube")).sum().backward()
        assert weight.grad.abs().max() > 0

    def test_one_item_has_no_gradient_of_another(self, model: LatentRewardModel) -> None:
        latents = some_latents(2).requires_grad_()
        model.score_latents(latents, some_conditioning(2))[0].backward()
        assert latents.grad[0].abs().max() > 0
        assert latents.grad[1].abs().max() == 0

    def test_training_reaches_head_and_lora(self, tiny_folder: Path) -> None:
        model = tiny_reward_model(tiny_folder)
        model(some_latents(2), torch.tensor([0.3, 0.6]), some_conditioning(2)).sum().backward()
        trained = [*model.head.parameters(), *model.backbone.trainable_parameters()]
        assert all(parameter.grad is not None and torch.isfinite(parameter.grad).all() for parameter in trained)


class TestWinProbability:
    @pytest.mark.parametrize("levels", [None, 0.2, ENSEMBLE])
    def test_is_symmetric(self, model: LatentRewardModel, levels: float | tuple[float, ...] | None) -> None:
        a, b = some_images(4), some_images(4, seed=1)
        forward, backward = (
            model.win_probability(a, b, PROMPTS[:4], levels),
            model.win_probability(b, a, PROMPTS[:4], levels),
        )
        close(forward + backward, torch.ones(4))
        assert ((forward > 0) & (forward < 1)).all()
        close(model.win_probability(a, a, "a red cube", levels), torch.full((4,), 0.5))

    def test_follows_the_likelihood_of_the_paper(self, model: LatentRewardModel) -> None:
        a, b, levels = some_images(2), some_images(2, seed=1), (0.3, 0.6)
        for given, variance in ((0.3, 2 * 0.09 + 0.01), (levels, 2 * (0.09 + 0.36) / 2 + 0.01)):
            margin = model.score(a, "a red cube", given) - model.score(b, "a red cube", given)
            expected = torch.special.ndtr(margin / (2 * variance) ** 0.5)
            close(model.win_probability(a, b, "a red cube", given), expected)

    def test_an_ensemble_has_the_mean_variance_of_its_levels(self, model: LatentRewardModel) -> None:
        thurstone, margin = Thurstone(), torch.tensor([0.7])
        variance = torch.stack([thurstone.variance(torch.tensor(level)) for level in ENSEMBLE]).mean()
        close(model.margin_probability(margin, ENSEMBLE), torch.special.ndtr(margin / (2 * variance).sqrt()))

    def test_temperature_divides_the_margin(self, tiny_folder: Path) -> None:
        model = tiny_reward_model(tiny_folder, temperature=4.0, preference=BradleyTerry())
        close(model.margin_probability(torch.tensor([2.0])), torch.sigmoid(torch.tensor([0.5])))


def test_z_scores_undo_the_recorded_statistics(tiny_folder: Path) -> None:
    model = tiny_reward_model(tiny_folder, score_mean=-10.0, score_std=10.0)
    raw = torch.tensor([-10.0, 0.0, 3.0])
    assert torch.equal(model.normalize(raw), (raw + 10) / 10)


def test_describe_says_what_a_score_depends_on(model: LatentRewardModel) -> None:
    described = model.describe()
    assert described["noise_level"] == 0.4
    assert described["preference"]["name"] == "thurstone"
    assert described["backbone"]["depth"] == 3
    assert described["lora"]["rank"] == 2
    assert described["parameters"]["head"] == sum(p.numel() for p in model.head.parameters())
    assert described["score"]["z"] == "(raw - 0) / 1"


class TestBuild:
    def test_is_a_function_of_the_seed(self, tiny_folder: Path) -> None:
        first, same, other = (LatentRewardModel.build(tiny_config(tiny_folder), seed=seed) for seed in (1, 1, 2))
        assert torch.equal(first.head.query_tokens, same.head.query_tokens)
        assert not torch.equal(first.head.query_tokens, other.head.query_tokens)
        loras = [model.backbone.lora_state_dict() for model in (first, same, other)]
        key = next(name for name in loras[0] if "lora_A" in name)
        assert torch.equal(loras[0][key], loras[1][key])
        assert not torch.equal(loras[0][key], loras[2][key])

    def test_trains_what_the_config_says(self, tiny_folder: Path) -> None:
        lora = LatentRewardModel.build(tiny_config(tiny_folder))
        frozen = LatentRewardModel.build(tiny_config(tiny_folder, lora=None))
        full = LatentRewardModel.build(tiny_config(tiny_folder, lora=None, own_backbone=True))
        assert len(lora.backbone.trainable_parameters()) == len(lora.backbone.lora_state_dict())
        assert frozen.backbone.trainable_parameters() == []
        assert len(full.backbone.trainable_parameters()) == len(list(full.backbone.parameters()))


class TestShared:
    def test_scores_are_those_of_the_standalone_model(
        self, model: LatentRewardModel, tiny_pipeline, tmp_path: Path
    ) -> None:
        model.save_pretrained(tmp_path / "rm")
        shared = LatentRewardModel.from_pretrained(tmp_path / "rm", pipeline=tiny_pipeline)
        close(shared.score(some_images(3), PROMPTS[:3]), model.score(some_images(3), PROMPTS[:3]))

    def test_the_generator_stays_bit_identical(self, tiny_folder: Path, tiny_pipeline) -> None:
        def sample() -> Tensor:
            generator = torch.Generator().manual_seed(0)
            return tiny_pipeline(
                "a red cube",
                height=32,
                width=32,
                num_inference_steps=2,
                max_sequence_length=0,
                generator=generator,
                output_type="pt",
            ).images

        before = sample()
        weights = {name: tensor.clone() for name, tensor in tiny_pipeline.transformer.state_dict().items()}
        model = tiny_reward_model(tiny_folder, pipeline=tiny_pipeline)
        model.score(some_images(2), "a red cube", ENSEMBLE)
        latents = some_latents(1).requires_grad_()
        model.score_latents(latents, some_conditioning(1)).sum().backward()
        model.train()
        assert torch.equal(sample(), before)
        after = tiny_pipeline.transformer.state_dict()
        kept = {name.replace(".base_layer", ""): tensor for name, tensor in after.items() if "lora_" not in name}
        assert all(torch.equal(kept[name], tensor) for name, tensor in weights.items())
        own = {id(parameter) for parameter in model.parameters()}
        lent = [parameter for parameter in tiny_pipeline.transformer.parameters() if id(parameter) not in own]
        assert len(lent) == len(list(tiny_sd3_pipeline().transformer.parameters()))
        assert all(parameter.grad is None and not parameter.requires_grad for parameter in lent)


FAULTS: dict[str, tuple[Callable[[LatentRewardModel], object], str]] = {
    "no images": (lambda m: m.score([], "a"), "score: no images given"),
    "prompt count": (
        lambda m: m.score(some_images(2), ["a"] * 3),
        "score: 3 prompts for 2 images; accepted: 2 prompts",
    ),
    "channels of an image": (lambda m: m.score(torch.zeros(2, 4, 8, 8), "a"), r"score: images\[0\]: .*\(4, 8, 8\)"),
    "nan image": (
        lambda m: m.score([torch.zeros(3, 8, 8), torch.full((3, 8, 8), torch.nan)], "a"),
        r"images\[1\]: .*finite",
    ),
    "batch size": (lambda m: m.score(some_images(1), "a", batch_size=0), "batch_size is 0"),
    "level above 1": (
        lambda m: m.score(some_images(1), "a", 1.5),
        r"noise_level is 1\.5; accepted: numbers in \[0, 1\]",
    ),
    "level below 0": (lambda m: m.score(some_images(1), "a", [0.2, -0.1]), r"noise_level is -0\.1"),
    "nan level": (lambda m: m.score(some_images(1), "a", float("nan")), "noise_level is nan"),
    "empty ensemble": (lambda m: m.score(some_images(1), "a", []), "noise_level is an empty list"),
    "latent axes": (
        lambda m: m.score_latents(torch.zeros(16, 8, 8), some_conditioning(1)),
        r"shape \(16, 8, 8\); accepted",
    ),
    "latent channels": (
        lambda m: m.score_latents(torch.zeros(1, 4, 8, 8), some_conditioning(1)),
        r"latents have shape \(1, 4, 8, 8\); accepted: \(batch, 16, height, width\), height and width multiples of 2",
    ),
    "odd latents": (lambda m: m.score_latents(torch.zeros(1, 16, 7, 8), some_conditioning(1)), r"\(1, 16, 7, 8\)"),
    "no latents": (lambda m: m.score_latents(torch.zeros(0, 16, 8, 8), some_conditioning(1)), r"\(0, 16, 8, 8\)"),
    "integer latents": (
        lambda m: m.score_latents(torch.zeros(1, 16, 8, 8, dtype=torch.long), some_conditioning(1)),
        "dtype torch.int64; accepted: floating",
    ),
    "infinite latents": (
        lambda m: m.score_latents(
            torch.cat([some_latents(2), torch.full((1, *SHAPE), torch.inf)]), some_conditioning(1)
        ),
        r"latents have non-finite values in items \[2\]",
    ),
    "conditioning count": (
        lambda m: m.score_latents(some_latents(3), some_conditioning(2)),
        "conditioning of 2 prompts for 3 latents; accepted: 1 or 3",
    ),
    "nan conditioning": (
        lambda m: m.score_latents(some_latents(1), Conditioning(torch.full((1, 8, 24), torch.nan), torch.zeros(1, 24))),
        "prompt_embeds have non-finite values",
    ),
    "noise shape": (
        lambda m: m.score_latents(some_latents(2), some_conditioning(1), noise=some_latents(1)),
        r"noise has shape \(1, 16, 8, 8\); accepted: \(2, 16, 8, 8\)",
    ),
    "nan noise": (
        lambda m: m.score_levels(
            some_latents(1), some_conditioning(1), [0.1], noise=torch.full((1, *SHAPE), torch.nan)
        ),
        "score_levels: noise have non-finite",
    ),
    "noisy level": (
        lambda m: m.score_noisy(some_latents(2), 2.0, some_conditioning(1)),
        r"score_noisy: noise_level is 2\.0",
    ),
    "noisy levels": (
        lambda m: m.score_noisy(some_latents(2), torch.tensor([0.1, 1.1]), some_conditioning(1)),
        r"noise_level is \[0\.1.*, 1\.1.*\]; accepted",
    ),
    "noisy level count": (
        lambda m: m.score_noisy(some_latents(2), torch.zeros(3), some_conditioning(1)),
        r"noise_level has shape \(3,\); accepted: one number, or shape \(2,\)",
    ),
    "pairs": (lambda m: m.win_probability(some_images(2), some_images(1), "a"), "2 images a and 1 images b"),
    "no pairs": (lambda m: m.win_probability([], [], "a"), "win_probability: no images"),
    "no prompts": (lambda m: m.encode_prompts([]), "encode_prompts: no prompts"),
    "no images to encode": (lambda m: m.encode_images([]), "encode_images: no images"),
    "two buckets": (
        lambda m: m.encode_images([torch.zeros(3, 32, 32), torch.zeros(3, 24, 40)]),
        r"images of several buckets \(1 in 32x32, 1 in 40x24\)",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_say_where_what_was_given_and_what_is_accepted(model: LatentRewardModel, name: str) -> None:
    call, message = FAULTS[name]
    with pytest.raises(ValueError, match=message):
        call(model)


def test_a_missing_file_is_named(model: LatentRewardModel, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.png"):
        model.score(tmp_path / "gone.png", "a")
