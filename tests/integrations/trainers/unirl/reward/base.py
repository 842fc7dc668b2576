"""The base class of backends."""

from abc import ABC, abstractmethod


class RewardBackend(ABC):
    input_kind = "image"

    def __init__(self, model_name="", batch_size=8, timeout=60.0, **kwargs):
        self.model_name = model_name

    @abstractmethod
    def compute_rewards(self, request): ...

    @abstractmethod
    def is_available(self): ...
