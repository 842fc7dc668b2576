"""A table of rewards that a function builds for itself: nothing from outside can put a row into it.

`multi_score(device, score_dict)` returns `(images, prompts, metadata, only_strict=True) -> (details, {})`; `details`
has a list for each row, and their weighted sum under "avg". Newer versions take `ref_images` before `only_strict`.
"""

CALLS = []


def brightness(device):
    return lambda images, prompts: [float(image.float().mean()) for image in images]


def length():
    return lambda images, prompts: [float(len(prompt)) for prompt in prompts]


def multi_score(device, score_dict):
    table = {"brightness": lambda: brightness(device), "length": length}
    rows = {name: table[name]() for name in score_dict}

    def score(images, prompts, metadata, ref_images=None, only_strict=True):
        CALLS.append({"metadata": metadata, "ref_images": ref_images, "only_strict": only_strict})
        details, total = {}, [0.0] * len(prompts)
        for name, weight in score_dict.items():
            details[name] = rows[name](images, prompts)
            total = [before + weight * value for before, value in zip(total, details[name], strict=True)]
        details["avg"] = total
        return details, {}

    return score


def train_step(reward_fn, batches, workers=8):
    """As the script does: every batch in a thread of eight, then the results, which raise what the reward raised."""
    from concurrent.futures import ThreadPoolExecutor

    import torch

    executor = ThreadPoolExecutor(max_workers=workers)
    waiting = [executor.submit(reward_fn, *batch, only_strict=True) for batch in batches]
    rewards = [each.result()[0] for each in waiting]
    keys = rewards[0]
    return {key: torch.cat([torch.as_tensor(one[key]).float() for one in rewards]) for key in keys}
