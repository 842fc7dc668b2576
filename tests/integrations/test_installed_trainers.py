"""With the trainers themselves, where they are installed: TRL trains by our function, ms-swift's registry has our ORM.

They ask for versions of their own: `pip install trl`, or `pip install ms-swift`, in an environment beside this one.
"""

import math

import pytest
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from dina_lrm.integrations.swift import register
from dina_lrm.integrations.trl import text_reward

# Warnings of other libraries about each other are not ours
pytestmark = pytest.mark.filterwarnings("default")
WORDS = ["a", "two", "small", "large", "red", "blue", "ring", "rings", "cross", "on", "white", "black"]
HERE = {"draw": "synthetic", "prompt_column": "caption", "steps": 2, "device": "cpu"}


@pytest.fixture
def language_model(tmp_path):
    """The folder of a small language model of random weights, whose tokens are the words of captions."""
    tokens = Tokenizer(models.WordLevel({word: n for n, word in enumerate(["<pad>", "<eos>", *WORDS])}, "<pad>"))
    tokens.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokens, pad_token="<pad>", eos_token="<eos>")
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=32, n_embd=16, n_layer=1, n_head=2, bos_token_id=1, eos_token_id=1
    )
    for part in (tokenizer, GPT2LMHeadModel(config)):
        part.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_trl_takes_two_steps_by_our_function(language_model, tmp_path):
    trl = pytest.importorskip("trl", reason="TRL is not installed")
    rows = Dataset.from_dict({"prompt": ["a red ring", "two blue"] * 4, "caption": ["a red ring", "a blue cross"] * 4})
    reward, asked = text_reward(**HERE), []

    def kept(**given):
        asked.append((given["completions"], reward(**given)))
        return asked[-1][1]

    kept.__name__ = reward.__name__
    settings = trl.GRPOConfig(
        str(tmp_path / "run"), max_steps=2, per_device_train_batch_size=4, num_generations=4, max_completion_length=4,
        use_cpu=True, bf16=False, report_to=[], logging_steps=1, save_strategy="no", learning_rate=1e-2, seed=0,
    )  # fmt: skip
    trainer = trl.GRPOTrainer(str(language_model), reward_funcs=[kept], args=settings, train_dataset=rows)
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    trainer.train()
    assert len(asked) == 2 and all(len(texts) == len(scores) == 4 for texts, scores in asked)
    for (texts, scores), log in zip(asked, trainer.state.log_history[:2], strict=True):
        drawn = [score for text, score in zip(texts, scores, strict=True) if text.strip()]
        assert all(math.isfinite(score) for score in drawn)
        assert scores.count(None) == 4 - len(drawn)
        assert log["rewards/dina/mean"] == pytest.approx(sum(drawn) / len(drawn), abs=1e-4)
    assert any(not value.equal(before[name]) for name, value in trainer.model.named_parameters())


def test_ms_swift_scores_by_our_orm():
    rewards = pytest.importorskip("swift.rewards", reason="ms-swift is not installed")
    from swift.rl_core.data import GRPOSample
    from swift.rl_core.grpo_algorithm import score_completions

    found = register(**HERE)
    try:
        orm = rewards.orms["dina"](args=None)
        assert rewards.orms["dina"] is found and isinstance(orm, rewards.ORM)
        captions = ["a red ring", "a blue cross", "two rings"]
        texts = ["a small red ring on white", "", "two large rings"]
        samples = [
            GRPOSample(messages=[{"role": "user", "content": "q"}, {"role": "assistant", "content": text}],
                       extra={"caption": caption})
            for text, caption in zip(texts, captions, strict=True)
        ]  # fmt: skip
        scores = score_completions(samples, [orm], [None], False, "cpu")
        expected = text_reward(**HERE)(prompts=captions, completions=texts, caption=captions)
        assert expected[1] is None and bool(scores[1].isnan().all())
        assert [scores[0].item(), scores[2].item()] == pytest.approx([expected[0], expected[2]], abs=1e-5)
    finally:
        del rewards.orms["dina"]
