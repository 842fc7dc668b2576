"""Which objectives of the forward process there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dina_lrm.alignment.algorithms.forward.awm import Awm
from dina_lrm.alignment.algorithms.forward.awm_settings import AwmConfig
from dina_lrm.alignment.algorithms.forward.grouped.crd import Crd
from dina_lrm.alignment.algorithms.forward.grouped.crd_settings import CrdConfig
from dina_lrm.alignment.algorithms.forward.grouped.dgpo import Dgpo
from dina_lrm.alignment.algorithms.forward.grouped.dgpo_settings import DgpoConfig
from dina_lrm.alignment.algorithms.forward.nft import Nft
from dina_lrm.alignment.algorithms.forward.nft_settings import NftConfig
from dina_lrm.alignment.algorithms.forward.objective import ForwardObjective
from dina_lrm.alignment.algorithms.forward.settings import ForwardConfig

FORWARD_OBJECTIVES: Final[Mapping[type[ForwardConfig], type[ForwardObjective[Any]]]] = {
    NftConfig: Nft,
    AwmConfig: Awm,
    CrdConfig: Crd,
    DgpoConfig: Dgpo,
}
"""The objective of runs of a configuration."""
