"""Byte-pair tokenizers of the Qwen and the Gemma kind, made in code; a word of `WORDS` behind a space is one token."""

from transformers import GemmaTokenizerFast, Qwen2Tokenizer

from tests.tiny import WORDS

CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
INSTRUCTION = (
    "the image by detailing color shape size texture quantity text spatial relationships of objects and background"
).split()
"""Words of Qwen-Image's template, which has to be as many tokens as with the published tokenizer: 34."""
STARTS = ("system", "user", "assistant", "Describe")
"""Words that stand behind no space."""


def tiny_qwen_tokenizer() -> Qwen2Tokenizer:
    """With the chat template's marks."""
    # From the left: a space begins a word, so that the merges of one word cannot split another.
    vocabulary, merges = _pairs([f"Ġ{word}" for word in (*WORDS, *INSTRUCTION)] + list(STARTS), "Ġ")
    letters = "Ċ:,.!?'-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    symbols = dict.fromkeys([*vocabulary, *letters])
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = Qwen2Tokenizer(
        vocab={symbol: i for i, symbol in enumerate([*symbols, *specials])},
        merges=merges,
        unk_token=None,
        pad_token="<|endoftext|>",
        additional_special_tokens=specials[1:],
    )
    tokenizer.chat_template = CHAT
    assert len(tokenizer("a red cube").input_ids) == 3, tokenizer.tokenize("a red cube")
    return tokenizer


def tiny_gemma_tokenizer() -> GemmaTokenizerFast:
    """Other words become letters, or <unk>."""
    vocabulary, merges = _pairs([f"▁{word}" for word in WORDS], "▁")
    specials = ["<pad>", "<eos>", "<bos>", "<unk>"]
    symbols = {symbol: i for i, symbol in enumerate([*specials, *vocabulary])}
    return GemmaTokenizerFast(vocab=symbols, merges=merges, add_bos_token=True)


def _pairs(words: list[str], space: str) -> tuple[list[str], list[tuple[str, str]]]:
    symbols = dict.fromkeys([*"abcdefghijklmnopqrstuvwxyz", space])
    merges = {}
    for word in words:
        for letter in word:
            symbols[letter] = None
        for end in range(1, len(word)):
            merges[word[:end], word[end]] = None
            symbols[word[: end + 1]] = None
    return list(symbols), list(merges)
