from diffusers.callbacks import MultiPipelineCallbacks

from dina_lrm import LatentRewardModel, RewardSteering, RewardTrace
from dina_lrm.sampling.guidance import RewardGuidance
from dina_lrm.synthetic.world import bundled_pipeline

prompt = "a small red ring on white"
pipeline = bundled_pipeline()  # any pipeline of the reward's family
reward = LatentRewardModel.from_pretrained("synthetic", pipeline=pipeline)
trace = RewardTrace(reward, prompt)
steering = RewardSteering(reward, prompt, RewardGuidance(strength=0.05))
image = pipeline(
    prompt,
    num_inference_steps=8,
    max_sequence_length=0,  # this one has no T5
    callback_on_step_end=MultiPipelineCallbacks([steering, trace]),
).images[0]
for level, score in zip(trace.levels, trace.scores[:, 0], strict=True):
    print(f"noise level {level:.2f}: {score:.2f}")
