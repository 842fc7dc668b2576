"""The service that holds one backend, and is handed a whole track."""

from unirl.distributed.group.dispatch import Dispatch, distributed


class RewardService:
    def __init__(self, backend, truncated_reward="zero"):
        self.backend, self.device = backend, None

    @distributed(dispatch_mode=Dispatch.DP_SCATTER)
    def score_and_attach(self, *, req, track):
        raise NotImplementedError

    def is_available(self):
        return self.backend.is_available()
