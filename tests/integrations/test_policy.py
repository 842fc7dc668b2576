"""A reward in a trainer's process reads the trainer's own weights, and nobody's numbers change."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from peft import LoraConfig, get_peft_model

from dina_lrm.integrations import policy
from dina_lrm.integrations.given import rows_of
from dina_lrm.integrations.scorer import ScorerSettings, shared_scorer
from dina_lrm.integrations.worded import WordedItem
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.synthetic.world import bundled_pipeline
from tests.models import some_latents

PROMPTS = ["a small red ring on white", "two large blue bars on black"]
SETTINGS = ScorerSettings("synthetic", device="cpu", dtype="float32", max_batch=4, max_wait_ms=1.0)
LORA = LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False)


@pytest.fixture
def policy_of_a_trainer():
    """A pipeline whose model has a LoRA that learns in PEFT's own wrapper, as trainers make it; shared with rewards."""
    pipeline = bundled_pipeline()
    for part in (pipeline.transformer, pipeline.text_encoder, pipeline.text_encoder_2):
        part.requires_grad_(False)
    pipeline.transformer = get_peft_model(pipeline.transformer, LORA)
    policy.share(pipeline)
    yield pipeline
    policy.share(None)


@pytest.fixture(scope="module")
def alone():
    """The scores of a copy of its own."""
    return LatentRewardModel.from_pretrained("synthetic")


def items(latents):
    return [WordedItem(x, text, (0.4,)) for x, text in zip(latents, PROMPTS * 8, strict=False)]


def sampled(pipeline):
    return pipeline(
        PROMPTS, num_inference_steps=4, height=32, width=32, max_sequence_length=0, output_type="latent",
        generator=torch.Generator().manual_seed(0),
    ).images  # fmt: skip


def test_scores_are_those_of_weights_of_its_own(policy_of_a_trainer, alone):
    latents = some_latents(8)
    found = torch.tensor(shared_scorer(SETTINGS).scores(items(latents)))
    told = alone.encode_prompts(PROMPTS * 4)
    torch.testing.assert_close(found, alone.score_latents(latents, told, 0.4), atol=1e-5, rtol=1e-5)
    assert shared_scorer(SETTINGS).served.model.backbone.transformer is policy_of_a_trainer.transformer.get_base_model()


def test_the_policy_samples_while_eight_threads_score(policy_of_a_trainer):
    scorer, latents = shared_scorer(SETTINGS), some_latents(16)
    plain, alone = sampled(policy_of_a_trainer), scorer.scores(items(latents))
    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(scorer.scores, items(latents)) for _ in range(8)]
        meanwhile = [sampled(policy_of_a_trainer) for _ in range(3)]
        together = [each.result() for each in waiting]
    assert all(torch.equal(one, plain) for one in meanwhile)
    assert all(one == pytest.approx(alone, abs=1e-5) for one in together)


def test_a_policy_that_trains_all_its_weights_is_refused(policy_of_a_trainer):
    scorer = shared_scorer(SETTINGS)
    with torch.no_grad():
        policy_of_a_trainer.transformer.get_base_model().transformer_blocks[0].attn.to_k.weight.mul_(1.01)
    with pytest.raises(ValueError, match="has changed since it was loaded"):
        scorer.scores(items(some_latents(1)))
    other = bundled_pipeline()  # takes gradients, as whatever was only loaded
    policy.share(other)
    with pytest.raises(ValueError, match=r"takes a gradient.*accepted: train a LoRA"):
        shared_scorer(SETTINGS)


def test_who_shares_nothing_has_scorers_of_its_own(policy_of_a_trainer):
    shared = shared_scorer(SETTINGS)
    policy.share(None)
    assert shared_scorer(SETTINGS) is not shared
    assert not shared_scorer(SETTINGS).served.model.backbone.shared


def test_words_are_read_as_their_embeddings_are_and_what_is_cut_is_said(alone):
    scorer, latents = shared_scorer(SETTINGS), some_latents(2)
    told = rows_of("told", [alone.encode_prompts(text) for text in PROMPTS], 2)
    worded = [WordedItem(x, text, (0.2, 0.7), 3) for x, text in zip(latents, PROMPTS, strict=True)]
    encoded = [item.told(row) for item, row in zip(worded, told, strict=True)]
    assert scorer.scores(worded) == pytest.approx(scorer.scores(encoded), abs=1e-5)
    with pytest.warns(UserWarning, match="tokens given"):
        scorer.scores([WordedItem(latents[0], " ".join(PROMPTS * 10))])
    with pytest.raises(ValueError, match=r"item 1: .*accepted: .batch, 16, height, width"):
        scorer.scores([worded[0], WordedItem(torch.zeros(3, 8, 8), PROMPTS[0])])
