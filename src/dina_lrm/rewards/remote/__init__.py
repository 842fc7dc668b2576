"""A reward model on another machine, over HTTP: `reward.py` is the reward, `client.py` what asks the server.

`service.py` finds out which protocol the server speaks and which model an address means; `protocol_1.py`,
`protocol_2.py` and `pictures.py` make a request and read its answer.
"""

from dina_lrm.rewards.remote.bound import BoundRemote
from dina_lrm.rewards.remote.errors import RemoteRewardError, RemoteRewardWarning
from dina_lrm.rewards.remote.reward import RemoteReward
from dina_lrm.rewards.remote.traffic import Counts

__all__ = ["BoundRemote", "Counts", "RemoteReward", "RemoteRewardError", "RemoteRewardWarning"]
