"""Asks about latents by whichever protocol the server speaks."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import final

from dina_lrm.rewards.remote import protocol_1, protocol_2
from dina_lrm.rewards.remote.client import RemoteClient
from dina_lrm.rewards.remote.errors import RemoteRewardError, RemoteRewardWarning
from dina_lrm.rewards.remote.questions import LatentQuestion
from dina_lrm.rewards.remote.service import Service, find_service


@final
class Asker:
    """A client, and what it found out about the server, which all readings of one reward share.

    Where the server speaks protocol 1 alone, a `RemoteRewardWarning` says so, once.
    """

    def __init__(self, client: RemoteClient) -> None:
        self.client = client
        self._service: Service | None = None

    @property
    def service(self) -> Service:
        """Which model the address means; asked for once."""
        return self._service or self._learned(find_service(self.client))

    @property
    def speaks_1_alone(self) -> bool:
        """Whether that is known of the server."""
        return self._service is not None and self._service.protocol == "1"

    def scores(self, question: LatentQuestion) -> list[float]:
        """Scores by the newest protocol that the server speaks.

        Raises:
            ValueError: for what protocol 1 has no place for, where the server speaks no other.
            RemoteRewardError: no answer, a refusal, or an answer that is none.
        """
        service = self.service
        if service.protocol == "2":
            try:
                return protocol_2.score(self.client, service, question)
            except RemoteRewardError as error:
                if error.code != "unknown_protocol":
                    raise
            service = self._learned(replace(service, protocol="1"))
        return protocol_1.score(self.client, service.base, question)

    def _learned(self, service: Service) -> Service:
        """Remember it; of threads that find it out together, one says so."""
        new = self._service is None or self._service.protocol != service.protocol
        self._service = service
        if new and service.protocol == "1":
            told = "speaks protocol 1 alone: prompts are sent with every item, and there is one noise level"
            warnings.warn(f"{self.client.name}: {told}", RemoteRewardWarning, stacklevel=4)
        return service
