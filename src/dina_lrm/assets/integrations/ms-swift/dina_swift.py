# swift rlhf --rlhf_type grpo --external_plugins dina_swift.py --reward_funcs dina --model MODEL --dataset ROWS.jsonl
from dina_lrm.integrations.swift import register

register(
    model="synthetic",  # a folder, a hub id, or remote:http://127.0.0.1:8000/dina
    draw="synthetic",  # the generator that draws a completion; a folder or a hub id
    prompt_column="caption",  # what the picture is to show: a column of ROWS.jsonl
    steps=8,
)
