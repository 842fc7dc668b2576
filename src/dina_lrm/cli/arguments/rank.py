"""Options of `dina-lrm rank`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from dina_lrm.console.before import SaysBefore
from dina_lrm.console.options import AnnotatorOptions, DeviceOptions, EncoderOptions
from dina_lrm.ranking.settings import RankSettings


@dataclass
class Arguments(AnnotatorOptions, EncoderOptions, DeviceOptions, SaysBefore):
    """Show the pictures of a folder from best to worst, as one page: score, percentile, a slider, a filter, CSV.

    Example:
        dina-lrm rank photos --model runs/taste/model --out best.html --links best
    """

    settings: Annotated[RankSettings, tyro.conf.arg(name="")]

    def check(self) -> None:
        """Refuse what cannot be ranked, and a page in the way."""
        self.settings.check()
