# a model that rewrites prompts for a generator; the data set has the columns prompt and caption
from dina_lrm.integrations.trl import text_reward

reward = text_reward(
    model="synthetic",  # a folder, a hub id, or remote:http://127.0.0.1:8000/dina
    draw="synthetic",  # the generator that draws a completion; a folder or a hub id
    prompt_column="caption",  # what the picture is to show
    steps=8,
)
# trainer = GRPOTrainer(MODEL, reward_funcs=[reward], train_dataset=ROWS)
