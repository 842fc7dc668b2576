"""How verl-omni's manager of several rewards calls a reward function: our own copy of that interface, nothing more."""

import asyncio
import inspect
from importlib import import_module

RESERVED = ("path", "name", "weight", "required")


class Manager:
    """Functions by key, each with its own settings; one sample a call, the sum of weighted scores as answer."""

    def __init__(self, entries):
        self.rewards = {key: (entry, self.function(entry)) for key, entry in entries.items()}

    @staticmethod
    def function(entry):
        return getattr(import_module(entry["path"].removeprefix("pkg://")), entry["name"])

    async def run_single(self, solution_image, extra_info):
        combined, told = 0.0, {}
        for key, (entry, function) in self.rewards.items():
            known = {
                "data_source": "ours",
                "solution_image": solution_image,
                "ground_truth": "",
                "extra_info": extra_info,
            }
            known |= {name: value for name, value in entry.items() if name not in RESERVED}
            taken = inspect.signature(function).parameters
            given = {name: value for name, value in known.items() if name in taken}
            try:
                if inspect.iscoroutinefunction(function):
                    found = await function(**given)
                else:
                    found = await asyncio.get_running_loop().run_in_executor(None, lambda f=function, g=given: f(**g))
                told |= {f"reward/{key}/{name}": value for name, value in found.items() if name != "score"}
                score = float(found["score"])
            except Exception as error:
                if entry.get("required"):
                    raise RuntimeError(f"Required sub-reward '{key}' failed: {error}") from error
                score = 0.0
            told[f"reward/{key}"] = score
            combined += entry.get("weight", 1.0) * score
        return {"reward_score": combined, "reward_extra_info": told}
