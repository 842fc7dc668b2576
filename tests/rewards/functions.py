"""Functions that stand for a user's own rewards."""


def brightness(images, prompts):
    return images.mean(dim=(1, 2, 3))


def sometimes(images, prompts):
    return [None if prompt == "hard" else 1.0 for prompt in prompts]


def too_few(images, prompts):
    return [0.0]


number = 7


def constant(images, prompts):
    return [1.0] * len(prompts)


def failing(images, prompts):
    raise RuntimeError("boom")


def flat_on_black(images, prompts):
    """Brightness, but one score for all pictures that were asked for on black."""
    bright = images.mean(dim=(1, 2, 3))
    return [0.0 if "black" in prompt else float(value) for value, prompt in zip(bright, prompts, strict=True)]
