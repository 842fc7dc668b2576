# swift rlhf --rlhf_type grpo --model MODEL --dataset ROWS.jsonl \
#     --external_plugins dina_swift.py --reward_funcs dina
from dina_lrm.integrations.swift import register

register(
    model="synthetic",  # a folder, a hub id, remote:http://HOST:PORT/NAME
    draw="synthetic",  # what draws a completion: a folder or a hub id
    prompt_column="caption",  # what the picture is to show, in ROWS.jsonl
    steps=8,
)
