from diffusers.callbacks import MultiPipelineCallbacks

from dina_lrm import LatentRewardModel, RewardSteering, RewardTrace
from dina_lrm.sampling.guidance import RewardGuidance
from dina_lrm.synthetic.world import bundled_pipeline

pipeline, prompt = bundled_pipeline(), "a small red ring on white"  # any pipeline of the reward's family
reward = LatentRewardModel.from_pretrained("synthetic", pipeline=pipeline)
trace = RewardTrace(reward, prompt)
steering = RewardSteering(reward, prompt, RewardGuidance(strength=0.05))
both = MultiPipelineCallbacks([steering, trace])
image = pipeline(prompt, num_inference_steps=8, max_sequence_length=0, callback_on_step_end=both).images[0]
for level, score in zip(trace.levels, trace.scores[:, 0], strict=True):
    print(f"noise level {level:.2f}: {score:.2f}")
