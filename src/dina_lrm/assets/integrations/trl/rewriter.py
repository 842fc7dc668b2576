# a model that rewrites prompts; ROWS has the columns prompt and caption
from dina_lrm.integrations.trl import text_reward

reward = text_reward(
    model="synthetic",  # a folder, a hub id, remote:http://HOST:PORT/NAME
    draw="synthetic",  # what draws a completion: a folder or a hub id
    prompt_column="caption",  # what the picture is to show
    steps=8,
)
# GRPOTrainer(MODEL, reward_funcs=[reward], train_dataset=ROWS).train()
