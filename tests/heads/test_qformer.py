"""The query transformer against a plain numpy reading of its specification, and the laws it must obey."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from dina_lrm.backbones.conditioning import Features
from dina_lrm.heads.base import HeadTokens
from dina_lrm.heads.cross_attention import attend, attention_weights
from dina_lrm.heads.qformer import QFormerHead
from dina_lrm.heads.settings import QFormerConfig

WIDTH, TIME = 16, 12
State = dict[str, np.ndarray]


def build(
    config: QFormerConfig | None = None, visual=(WIDTH, WIDTH), text=(WIDTH, WIDTH), seed: int = 0
) -> QFormerHead:
    """A head whose parameters are all random: the zeros of a fresh head would hide mistakes."""
    head = QFormerHead(config or QFormerConfig(attention_heads=4), visual, text, TIME)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return head.eval()


def features(
    seed: int, visual=(WIDTH, WIDTH), text=(WIDTH, WIDTH), batch: int = 3, mask: Tensor | None = None
) -> Features:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    streams = tuple(draw(batch, 7, w) for w in visual), tuple(draw(batch, 5, w) for w in text)
    return Features(*streams, time_embedding=draw(batch, TIME), text_mask=mask)


# --- the specification, one sample at a time, in float64 numpy -------------------------------------------------------


def linear(state: State, key: str, x: np.ndarray) -> np.ndarray:
    return x @ state[f"{key}.weight"].T + state[f"{key}.bias"]


def silu(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-x))


def rms_norm(state: State, key: str, x: np.ndarray) -> np.ndarray:
    eps = float(np.finfo(np.float32).eps)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + eps) * state[f"{key}.weight"]


def film(state: State, key: str, x: np.ndarray, temb: np.ndarray) -> np.ndarray:
    if f"{key}.proj_in.weight" in state:
        x = linear(state, f"{key}.proj_in", x)
    style = linear(state, f"{key}.cond_mlp.2", silu(linear(state, f"{key}.cond_mlp.0", temb)))
    scale, shift = style[: x.shape[-1]], style[x.shape[-1] :]
    return linear(state, f"{key}.proj", x * (1 + scale) + shift + state[f"{key}.layer_embed"][0])


def softmax_read(q: np.ndarray, k: np.ndarray, v: np.ndarray, heads: int) -> np.ndarray:
    """Every head and query in its own turn of a loop."""
    out = np.zeros_like(q)
    size = q.shape[-1] // heads
    for h in range(heads):
        part = slice(h * size, (h + 1) * size)
        for i in range(len(q)):
            logits = np.array([q[i, part] @ token / math.sqrt(size) for token in k[:, part]])
            weights = np.exp(logits - logits.max())
            out[i, part] = (weights / weights.sum()) @ v[:, part]
    return out


def stream(state: State, block: str, kind: str, norm: str, q: np.ndarray, tokens: np.ndarray, heads: int) -> np.ndarray:
    tokens = rms_norm(state, f"{block}.{norm}", tokens)
    values = linear(state, f"{block}.to_v_{kind}", tokens)
    if f"{block}.gate_{kind}.0.weight" in state:
        hidden = silu(linear(state, f"{block}.gate_{kind}.0", tokens))
        values = values / (1 + np.exp(-linear(state, f"{block}.gate_{kind}.2", hidden)))
    return softmax_read(q, linear(state, f"{block}.to_k_{kind}", tokens), values, heads)


def block(
    state: State, key: str, queries: np.ndarray, visual: np.ndarray, text: np.ndarray | None, heads: int
) -> np.ndarray:
    q = linear(state, f"{key}.to_q", rms_norm(state, f"{key}.norm_q", queries))
    read = stream(state, key, "vis", "norm_v", q, visual, heads)
    if text is not None:
        read = read + stream(state, key, "text", "norm_t", q, text, heads)
    return queries + linear(state, f"{key}.to_out.0", read)


def gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def oracle(head: QFormerHead, levels: list[Features]) -> np.ndarray:
    state = {key: value.detach().double().numpy() for key, value in head.state_dict().items()}

    def fused(level: Features, name: str, sample: int) -> np.ndarray:
        taps = getattr(level, "visual" if name == "visual" else "text")
        temb = level.time_embedding[sample].double().numpy()
        parts = [
            film(state, f"layer_adapters_{name}.{j}", tap[sample].double().numpy(), temb) for j, tap in enumerate(taps)
        ]
        return linear(state, f"agg_{name}", np.concatenate(parts, axis=-1))

    scores = []
    for sample in range(len(levels[0].time_embedding)):
        visual = np.concatenate([fused(level, "visual", sample) for level in levels])
        text = np.concatenate([fused(level, "text", sample) for level in levels]) if head.config.use_text else None
        queries = block(state, "attn1", state["query_tokens"][0], visual, text, head.config.attention_heads)
        queries = block(state, "attn2", queries, visual, None, head.config.attention_heads)
        hidden = gelu(linear(state, "ff.0", rms_norm(state, "norm_ff", queries)))
        queries = queries + linear(state, "ff.2", hidden)
        score = linear(state, "head", queries).mean()
        if head.config.logistic:
            score = 4 / (1 + np.exp(-(score - state["eta3"]) / (abs(state["eta4"]) + 1e-6))) - 2
        scores.append(score)
    return np.array(scores)


CONFIGS = {
    "plain": (QFormerConfig(attention_heads=4), (WIDTH, WIDTH), (WIDTH, WIDTH)),
    "three taps, one query": (QFormerConfig(attention_heads=2, queries=1), (WIDTH,) * 3, (WIDTH,)),
    "no text": (QFormerConfig(attention_heads=4, use_text=False), (WIDTH, WIDTH), (WIDTH,)),
    "projected": (QFormerConfig(attention_heads=4, use_proj_in=True), (WIDTH, WIDTH), (WIDTH,)),
    "other widths": (QFormerConfig(width=8, attention_heads=2, queries=6), (WIDTH, 20), (24, 8)),
    "logistic": (QFormerConfig(attention_heads=4, logistic=True), (WIDTH,), (WIDTH,)),
}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("levels", [1, 3])
def test_agrees_with_the_specification(name: str, levels: int) -> None:
    config, visual, text = CONFIGS[name]
    head = build(config, visual, text)
    given = [features(seed, visual, text) for seed in range(levels)]
    np.testing.assert_allclose(head(given)[:, 0].detach().numpy(), oracle(head, given), rtol=2e-4, atol=2e-5)


def test_state_dict_is_the_released_table() -> None:
    d, f, e, q, n = WIDTH, WIDTH // 4, TIME, 4, 2
    expected: dict[str, tuple[int, ...]] = {"query_tokens": (1, q, d), "norm_ff.weight": (d,)}

    def add_linear(key: str, out: int, into: int) -> None:
        expected[f"{key}.weight"] = (out, into)
        expected[f"{key}.bias"] = (out,)

    for kind in ("visual", "text"):
        add_linear(f"agg_{kind}", d, n * f)
        for j in range(n):
            adapter = f"layer_adapters_{kind}.{j}"
            expected[f"{adapter}.layer_embed"] = (1, 1, d)
            add_linear(f"{adapter}.cond_mlp.0", 2 * d, e)
            add_linear(f"{adapter}.cond_mlp.2", 2 * d, 2 * d)
            add_linear(f"{adapter}.proj", f, d)
    for key in ("attn1.norm_q", "attn1.norm_v", "attn1.norm_t", "attn2.norm_q", "attn2.norm_v"):
        expected[f"{key}.weight"] = (d,)
    for key in ("to_q", "to_k_vis", "to_v_vis", "to_k_text", "to_v_text", "to_out.0", "gate_vis.0", "gate_text.0"):
        add_linear(f"attn1.{key}", d, d)
    for key in ("to_q", "to_k_vis", "to_v_vis", "to_out.0"):
        add_linear(f"attn2.{key}", d, d)
    for key in ("gate_vis.2", "gate_text.2"):
        add_linear(f"attn1.{key}", 1, d)
    add_linear("ff.0", 4 * d, d)
    add_linear("ff.2", d, 4 * d)
    add_linear("head", 1, d)
    assert {key: tuple(value.shape) for key, value in build().state_dict().items()} == expected


def test_optional_parts_add_only_their_own_keys() -> None:
    plain = set(build().state_dict())
    logistic = set(build(QFormerConfig(attention_heads=4, logistic=True)).state_dict())
    projected = set(build(QFormerConfig(attention_heads=4, use_proj_in=True)).state_dict())
    no_text = set(build(QFormerConfig(attention_heads=4, use_text=False)).state_dict())
    assert logistic - plain == {"eta3", "eta4"}
    assert {key.split(".", 2)[2] for key in projected - plain} == {"proj_in.weight", "proj_in.bias"}
    assert no_text < plain
    assert all("text" in key or "norm_t" in key for key in plain - no_text)


def test_only_foreign_widths_are_projected() -> None:
    keys = build(visual=(WIDTH, 20), text=(WIDTH,)).state_dict()
    assert [key for key in keys if "proj_in.weight" in key] == ["layer_adapters_visual.1.proj_in.weight"]


def test_a_fresh_head_does_not_see_the_noise_level() -> None:
    head = QFormerHead(QFormerConfig(attention_heads=4), (WIDTH,), (WIDTH,), TIME).eval()
    one = features(0, (WIDTH,), (WIDTH,))
    other = Features(one.visual, one.text, one.time_embedding + 5)
    assert torch.equal(head([one]), head([other]))


def test_without_a_time_embedding_it_is_a_head_that_does_not_modulate() -> None:
    """A fresh head, whose modulation is zero, without the layers that make it."""
    without = QFormerHead(QFormerConfig(attention_heads=4), (WIDTH, 10), (WIDTH,), 0).eval()
    assert not any("cond_mlp" in key for key in without.state_dict())
    fresh = QFormerHead(QFormerConfig(attention_heads=4), (WIDTH, 10), (WIDTH,), TIME).eval()
    fresh.load_state_dict(without.state_dict(), strict=False)
    given = features(0, (WIDTH, 10), (WIDTH,))
    timeless = replace(given, time_embedding=torch.empty(3, 0))
    torch.testing.assert_close(without([timeless]), fresh([given]))


def test_zero_initialised_film_still_learns_from_the_noise_level() -> None:
    head = QFormerHead(QFormerConfig(attention_heads=4), (WIDTH,), (WIDTH,), TIME)
    head([features(0, (WIDTH,), (WIDTH,))]).sum().backward()
    assert head.layer_adapters_visual[0].cond_mlp[2].weight.grad.abs().max() > 0


def test_an_ensemble_of_one_is_the_single_level() -> None:
    head, level = build(), features(0)
    assert torch.equal(head.scores([head.tokens(level)]), head([level]))


def test_repeating_a_level_changes_nothing() -> None:
    """Softmax averages: doubling every token leaves what the queries read as it was."""
    head, level = build(), features(0)
    torch.testing.assert_close(head([level, level]), head([level]), rtol=1e-5, atol=1e-6)


def test_the_order_of_levels_and_tokens_does_not_matter() -> None:
    head, one, two = build(), features(0), features(1)
    torch.testing.assert_close(head([one, two]), head([two, one]), rtol=1e-5, atol=1e-6)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(0))
    shuffled = Features(tuple(tap[:, order] for tap in one.visual), one.text, one.time_embedding)
    torch.testing.assert_close(head([shuffled]), head([one]), rtol=1e-5, atol=1e-6)


def test_an_ensemble_is_not_the_mean_of_scores() -> None:
    head, one, two = build(), features(0), features(1)
    assert not torch.allclose(head([one, two]), (head([one]) + head([two])) / 2, rtol=1e-3)


def test_samples_do_not_see_each_other() -> None:
    head, level = build(), features(0, batch=3)
    for i in range(3):
        alone = Features(
            tuple(tap[i : i + 1] for tap in level.visual),
            tuple(tap[i : i + 1] for tap in level.text),
            level.time_embedding[i : i + 1],
        )
        torch.testing.assert_close(head([alone])[0], head([level])[i], rtol=1e-5, atol=1e-6)


class TestTextPadding:
    def setup_method(self) -> None:
        mask = torch.tensor([[True, True, True, False, False], [True] * 5, [True, False, False, False, False]])
        self.level = features(0, mask=mask)
        masked_text = tuple(tap.masked_fill(~mask[..., None], 99.0) for tap in self.level.text)
        self.other_padding = Features(self.level.visual, masked_text, self.level.time_embedding, mask)

    def test_is_seen_by_default(self) -> None:
        head = build()
        assert torch.equal(head([self.level]), head([Features(*_without_mask(self.level))]))
        assert not torch.allclose(head([self.level]), head([self.other_padding]), rtol=1e-3)

    def test_is_hidden_when_asked(self) -> None:
        head = build(QFormerConfig(attention_heads=4, mask_text_padding=True))
        torch.testing.assert_close(head([self.level]), head([self.other_padding]))
        torch.testing.assert_close(
            head([self.level, self.level]), head([self.other_padding, self.other_padding]), rtol=1e-5, atol=1e-6
        )

    def test_masked_scores_are_those_of_the_cut_text(self) -> None:
        head = build(QFormerConfig(attention_heads=4, mask_text_padding=True))
        cut = Features(
            tuple(tap[:1] for tap in self.level.visual),
            tuple(tap[:1, :3] for tap in self.level.text),
            self.level.time_embedding[:1],
        )
        torch.testing.assert_close(head([self.level])[:1], head([cut]), rtol=1e-5, atol=1e-6)

    def test_no_real_token_reads_nothing_and_stays_finite(self) -> None:
        head = build(QFormerConfig(attention_heads=4, mask_text_padding=True))
        empty = Features(*_without_mask(self.level), torch.zeros(3, 5, dtype=torch.bool))
        score = head([empty])
        assert torch.isfinite(score).all()
        score.sum().backward()
        assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)


def _without_mask(level: Features) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], Tensor]:
    return level.visual, level.text, level.time_embedding


def test_gradients_reach_every_parameter_and_every_feature() -> None:
    head, level = build(), features(0)
    for tap in (*level.visual, *level.text):
        tap.requires_grad_()
    head([level]).sum().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
    assert all(tap.grad.abs().max() > 0 for tap in (*level.visual, *level.text))


def test_the_logistic_stays_inside_its_bounds() -> None:
    head = build(QFormerConfig(attention_heads=4, logistic=True))
    with torch.no_grad():
        head.head.bias.fill_(1e4)
    score = head([features(0)])
    assert torch.equal(score, torch.full((3, 1), 2.0))


def test_a_head_keeps_its_own_precision() -> None:
    head, level = build(), features(0)
    half = Features(
        tuple(tap.bfloat16() for tap in level.visual),
        tuple(tap.bfloat16() for tap in level.text),
        level.time_embedding.bfloat16(),
    )
    score = head([half])
    assert score.dtype == torch.float32
    torch.testing.assert_close(score, head([level]), rtol=0.05, atol=0.05)


def test_under_autocast_it_scores_and_trains() -> None:
    head, level = build(), features(0)
    with torch.autocast("cpu", torch.bfloat16):
        score = head([level, level])
        score.sum().backward()
    assert score.dtype == torch.float32
    torch.testing.assert_close(score, head([level, level]), rtol=0.05, atol=0.05)
    assert all(torch.isfinite(parameter.grad).all() for parameter in head.parameters())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: QFormerConfig(width=10), r"width=10; accepted: multiples of 4 .* attention_heads=8"),
        (lambda: QFormerConfig(queries=0), "queries=0"),
        (lambda: QFormerConfig(attention_heads=0), "attention_heads=0"),
        (lambda: QFormerConfig(dropout=1.0), r"dropout=1\.0"),
        (lambda: build(visual=(18,)), "width=18; accepted"),
        (lambda: build(visual=()), "no visual taps"),
        (lambda: build(text=()), "use_text=True but the backbone taps no text layer"),
        (lambda: build()([features(0, visual=(WIDTH,))]), "1 visual features given; 2 visual taps"),
        (lambda: build()([features(0, text=(WIDTH,) * 3)]), "3 text features given; 2 text taps"),
        (lambda: build().scores([]), "no tokens"),
    ],
)
def test_faults_say_what_was_given_and_accepted(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_tokens_with_and_without_text_do_not_mix() -> None:
    visual, text = torch.zeros(1, 2, 4), torch.zeros(1, 3, 4)
    with pytest.raises(ValueError, match="1 of 2 noise levels have text tokens or a mask; all or none do"):
        HeadTokens.cat([HeadTokens(visual, text), HeadTokens(visual)])


def test_attention_shares_are_those_that_attend_takes():
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, n, 8, generator=generator) for n in (3, 5, 5))
    shares = attention_weights(q, k, heads=2)
    read = torch.einsum("bhqt,bthd->bqhd", shares, v.reshape(2, 5, 2, 4)).reshape(2, 3, 8)
    torch.testing.assert_close(read, attend(q, k, v, heads=2))
    torch.testing.assert_close(shares.sum(dim=-1), torch.ones(2, 2, 3))


def test_the_head_says_what_it_reads_of_each_visual_token():
    head = build()
    with torch.no_grad():
        tokens = [head.tokens(features(0)), head.tokens(features(1))]
        shares = head.visual_attention(tokens)
    assert shares.shape == (3, sum(level.visual.shape[1] for level in tokens))
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(3))
    assert float(shares.min()) > 0


def test_statistics_say_nothing_at_first_and_are_added_when_they_have_learnt():
    plain, beside = (build(QFormerConfig(attention_heads=4, statistics=on)) for on in (False, True))
    beside.load_state_dict(plain.state_dict(), strict=False)
    fresh = QFormerHead(QFormerConfig(attention_heads=4, statistics=True), (WIDTH,), (WIDTH,), TIME)
    assert not fresh.statistics.weight.any() and fresh.statistics.weight.shape == (1, 3 * WIDTH)
    given = features(1)
    values = [(tap.mean(dim=1), tap.std(dim=1, correction=0)) for tap in given.visual]
    numbers = torch.cat([*(one for tap in values for one in tap), *(tap.mean(dim=1) for tap in given.text)], dim=1)
    added = (numbers @ beside.statistics.weight.T).detach()
    torch.testing.assert_close((beside([given]) - plain([given])).detach(), added, rtol=1e-4, atol=1e-5)
    other = features(2)
    of_both = beside([given, other]) - plain([given, other])
    mean = (beside([given]) - plain([given]) + beside([other]) - plain([other])) / 2
    torch.testing.assert_close(of_both, mean, rtol=1e-4, atol=1e-5)


def test_statistics_do_not_see_padding_of_prompts():
    head = build(QFormerConfig(attention_heads=4, statistics=True, mask_text_padding=True))
    tokens = features(1).text[0].shape[1]
    seen = (torch.arange(tokens) < 2).expand(3, -1)
    given = replace(features(1), text_mask=seen)
    other = replace(given, text=tuple(torch.where(seen[..., None], tap, tap + 9) for tap in given.text))
    torch.testing.assert_close(head([given]), head([other]))
