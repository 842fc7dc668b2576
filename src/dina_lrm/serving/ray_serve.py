"""The same server as several replicas behind one address, by Ray Serve (the extra `ray`).

    dina-lrm serve --replicas 2                                         a Ray of its own, on this machine
    deploy(ServerSettings(replicas=2))                                  the same from Python, or on a Ray that is there
    serve run dina_lrm.serving.ray_serve:application host=127.0.0.1     by Ray's command line

Each replica is a process with models, limits and a batcher of its own. A request waits at a replica, not in front of
it, so that the token is asked for before a body is read. A replica that dies is started again; what it was answering
is answered 500 by Ray, and clients that ask again reach another.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any, Final, final

import ray
import torch
from fastapi import FastAPI
from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from dina_lrm.engines.ray_session import OBJECT_BYTES, start_ray
from dina_lrm.locate import locate_reward_model
from dina_lrm.rewards.names import is_reward
from dina_lrm.runs.stopping import stop_on_signals
from dina_lrm.serving.app import make_app
from dina_lrm.serving.http.listening import address_of, listening_socket
from dina_lrm.serving.load import load_engine
from dina_lrm.serving.peers import Common, together
from dina_lrm.serving.problems import Problem
from dina_lrm.serving.settings import ServerSettings
from dina_lrm.typed import DinaError, from_plain

NAME: Final = "dina-lrm"
_HELD: Final = 4096
"""Requests that a replica holds; it has the bounds of bytes and time, and Ray has none."""
_TRIES: Final = 3
_EVERY: Final = 1.0
"""Seconds between two reports of a replica."""
_BEYOND: Final = 10.0
"""Seconds beyond the deadline of a request, after which Ray may end what a replica still does."""
_PATIENT: Final = {"RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60", "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "60"}
"""Ray kills a proxy that has not begun within 5 s, which a busy machine takes."""
_QUIET: Final = {"enable_access_log": False, "log_level": "WARNING"}


@final
class _Others:
    """The other replicas, asked through the process that is common to all."""

    def __init__(self, common: Any, replica: str) -> None:  # noqa: ANN401 - a handle of Ray's
        self._common, self._replica = common, replica

    async def keep(self, name: str, blob: bytes) -> None:
        await self._ask("keep", name, blob)

    async def recall(self, name: str) -> bytes | None:
        found: bytes | None = await self._ask("recall", name)
        return found

    async def known(self, name: str) -> bool:
        return bool(await self._ask("known", name))

    async def metrics(self, own: str) -> str:
        return together({**await self._ask("metrics"), self._replica: own})

    async def report(self, counts: str, busy: int, draining: bool) -> bool:
        """Say how this replica is; whether it shall take no more."""
        return bool(await self._ask("report", self._replica, counts, busy, draining))

    async def _ask(self, method: str, *words: object) -> Any:  # noqa: ANN401 - what the method answers
        """Ask again where the process that is asked dies meanwhile: Ray starts it anew."""
        for attempt in range(1, _TRIES + 1):
            try:
                return await self._common.options(method_name=method).remote(*words)
            except (RayError, RayServeException) as error:
                if attempt == _TRIES:
                    told = f"what replicas share was not reached in {_TRIES} attempts ({type(error).__name__})"
                    raise Problem(503, "peers_unreachable", told, retry_after=1) from error
                await asyncio.sleep(_EVERY)
        raise AssertionError("an attempt returns or raises")


class Replica:
    """One replica: models, a batcher, and the application, in a process of its own."""

    def __init__(
        self,
        common: Any,  # noqa: ANN401 - a handle of Ray's
        settings: ServerSettings,
        device: str | None,
        dtype: torch.dtype | None,
    ) -> None:
        self._others = _Others(common, serve.get_replica_context().replica_id.unique_id)
        engine = load_engine(settings, device=device, dtype=dtype)
        token, others = settings.token(), self._others
        self._made: FastAPI = make_app(engine, token=token, pickles=settings.pickles, peers=others)
        # Ray makes replicas inside their event loop
        self._reports = asyncio.get_running_loop().create_task(self._report())

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The application, as Ray asks for it once this is made."""
        return self._made

    async def check_health(self) -> None:
        """Raise where this replica cannot go on, so that Ray starts another: its reports ended, its GPU failed."""
        if self._reports.done():
            raise RuntimeError(f"the reports of this replica ended: {self._reports}")
        if torch.cuda.is_initialized():
            await asyncio.to_thread(torch.cuda.synchronize)

    async def _report(self) -> None:
        desk = self._made.state.desk
        while True:
            try:
                desk.draining |= await self._others.report(desk.counts(), desk.busy, desk.draining)
            except Problem:
                pass  # what is common is being started anew, and hears the next report
            await asyncio.sleep(_EVERY)


def build(
    settings: ServerSettings, *, device: str | None = None, dtype: torch.dtype | None = None
) -> serve.Application:
    """The server as an application of Ray Serve, for `serve.run`, with `settings.replicas` replicas, at least one.

    Where it listens is Ray's to say: address, port and certificate of the settings are not read here.

    Raises:
        ValueError: settings that could not run.
    """
    settings.check()
    beyond = settings.longest_deadline + _BEYOND
    common = serve.deployment(
        Common,
        num_replicas=1,
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=_HELD,
        health_check_period_s=2,
        logging_config=_QUIET,
    )
    replica = serve.deployment(
        serve.ingress()(Replica),
        num_replicas=max(1, settings.replicas),
        ray_actor_options={"num_cpus": settings.replica_cpus, "num_gpus": settings.replica_gpus},
        max_ongoing_requests=_HELD,
        max_queued_requests=-1,
        graceful_shutdown_timeout_s=beyond,
        graceful_shutdown_wait_loop_s=0.2,
        health_check_period_s=2,
        max_constructor_retry_count=_TRIES,
        logging_config=_QUIET,
    )
    return replica.bind(common.bind(settings.limits.prompt_store_bytes), settings, device, dtype)


def application(args: Mapping[str, Any]) -> serve.Application:
    """The server from the arguments of Ray's own command line or file: settings by name, and `device`, `dtype`.

    Settings are those of a settings file; on the command line `model` takes names behind commas, and other values are
    JSON. As Ray says where its proxies listen, either a token is needed, or `host`: that they listen at this machine
    only.

    Raises:
        ValueError: unknown or wrong settings, neither a token nor a host.
    """
    given: dict[str, Any] = {key: _plain(value) for key, value in args.items()}
    if isinstance(given.get("model"), str):
        given["model"] = given["model"].split(",")
    device, dtype = given.pop("device", None), given.pop("dtype", None)
    if dtype not in (None, "float32", "float16", "bfloat16"):
        raise DinaError(f"args.dtype: {dtype!r}; accepted: float32, float16, bfloat16")
    settings = from_plain(ServerSettings, given, "args")
    if settings.token_file is None and "host" not in given:
        told = "args: neither token_file nor host"
        raise DinaError(f"{told}; accepted: token_file, or host=127.0.0.1 where Ray's proxies listen there only")
    return build(settings, device=device, dtype=None if dtype is None else getattr(torch, dtype))


def deploy(
    settings: ServerSettings,
    *,
    replicas: int | None = None,
    device: str | None = None,
    dtype: torch.dtype | None = None,
) -> str:
    """Run the server on the Ray that this process is connected to, else on one of its own, and return its address.

    It answers when this returns, and goes on until `ray.serve.shutdown()`, or as long as that Ray is there. Called
    again, it takes the place of what ran; Ray Serve goes on listening where it did, which the settings must name.

    Raises:
        ValueError: settings that could not run, models that do not load.
        OSError: an address that cannot be listened at.
    """
    settings = settings if replicas is None else replace(settings, replicas=replicas)
    application = build(settings, device=device, dtype=dtype)
    for where in settings.named().values():
        if not is_reward(where):
            locate_reward_model(where.removeprefix("latent:"))  # one that is none is said at once, and loaded once
    settings = replace(settings, port=_port(settings))
    if not ray.is_initialized():
        _start_ray(settings)
    serve.start(http_options=_http_options(settings), logging_config=_QUIET)
    try:
        serve.run(application, name=NAME)
    except RuntimeError as error:
        raise _not_started() from error
    return address_of(settings.door, settings.host, settings.port)


def run_replicas(
    settings: ServerSettings,
    told: Callable[[str], None],
    *,
    device: str | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Run the server on a Ray of its own until SIGINT or SIGTERM; then what waits is answered.

    Raises:
        ValueError, OSError: see `deploy`.
    """
    with _ray_of_its_own():
        address = deploy(settings, device=device, dtype=dtype)
        with stop_on_signals() as asked:
            told(f"ready at {address} ({settings.replicas} replicas)")
            while not asked:
                time.sleep(0.1)
        _drain(settings.longest_deadline)
        serve.delete(NAME)
    told("ended; all that waited was answered")


def _drain(deadline: float) -> None:
    """Let replicas refuse what is new (503), and wait until they have answered what they have."""
    common = serve.get_deployment_handle("Common", NAME).options(method_name="drain")
    until = time.monotonic() + deadline
    while time.monotonic() < until and common.remote().result(timeout_s=_BEYOND) != 0:
        time.sleep(0.1)


@contextmanager
def _ray_of_its_own() -> Iterator[None]:
    if ray.is_initialized():
        raise AssertionError("Ray runs in this process already; deploy() runs a server on it")
    try:
        yield
    finally:
        ray.shutdown()


def _start_ray(settings: ServerSettings) -> None:
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    for name, value in _PATIENT.items():
        os.environ.setdefault(name, value)
    cpus = round(max(1, settings.replicas) * settings.replica_cpus + 1.5)
    start_ray(cpus, max(OBJECT_BYTES, 4 * settings.limits.body_bytes))


def _port(settings: ServerSettings) -> int:
    """The port of the settings, which is free, or where Ray Serve listens already. OSError for any other."""
    if not (ray.is_initialized() and serve.status().proxies):
        with closing(listening_socket(settings.door)) as free:
            return int(free.getsockname()[1])
    try:
        with closing(socket.create_connection((settings.host, settings.port), timeout=5)):
            return settings.port
    except OSError as error:
        raise OSError(error.errno, f"{settings.host}:{settings.port}: Ray Serve runs, and listens elsewhere") from error


def _http_options(settings: ServerSettings) -> dict[str, Any]:
    return {
        "host": settings.host,
        "port": settings.port,
        "request_timeout_s": settings.longest_deadline + _BEYOND,
        "keep_alive_timeout_s": 75,
        "ssl_certfile": None if settings.tls_cert is None else str(settings.tls_cert),
        "ssl_keyfile": None if settings.tls_key is None else str(settings.tls_key),
    }


def _not_started() -> Exception:
    """Why no replica started, as the replica said it: our own error where it is one."""
    deployments = serve.status().applications[NAME].deployments
    said = "\n".join(each.message for each in deployments.values())
    errors = re.findall(r"^\s*(?:[\w.]+\.)?(\w+(?:Error|Exception)): (.+)$", said, re.MULTILINE)
    kind, told = errors[-1] if errors else ("", said[-500:])
    return DinaError(told) if kind == DinaError.__name__ else RuntimeError(f"serve: no replica started: {kind}: {told}")


def _plain(value: object) -> object:
    """A word of a command line as JSON where it is that."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
