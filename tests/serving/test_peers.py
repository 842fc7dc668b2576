"""What one replica was given, all have; and what each counts is told as one."""

import asyncio

import httpx
import pytest
import torch
from safetensors.torch import save

from dina_lrm import LatentRewardModel
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.prompt_rows import prompt_hash
from dina_lrm.serving.app import make_app
from dina_lrm.serving.engine import Engine
from dina_lrm.serving.latent import LatentServed
from dina_lrm.serving.limits import Limits
from dina_lrm.serving.peers import Alone, Common, Peers, together
from dina_lrm.serving.protocols.latents_v2 import prompt_body


class ThroughCommon:
    """The peers of a replica in this process: calls in the place of messages."""

    def __init__(self, common, name):
        self.common, self.name, self.asked = common, name, []

    async def keep(self, name, blob):
        await self.common.keep(name, blob)

    async def recall(self, name):
        self.asked.append(name)
        await asyncio.sleep(0.01)
        return await self.common.recall(name)

    async def known(self, name):
        return await self.common.known(name)

    async def metrics(self, own):
        return together({**await self.common.metrics(), self.name: own})


@pytest.fixture(scope="module")
def model():
    return LatentRewardModel.from_pretrained("synthetic")


def scores(answer):
    return answer.json()["results"]["dina"]["scores"]["raw"]


def replica(model, peers):
    engine = Engine([LatentServed("dina", model, "sha256:0")], Limits())
    transport = httpx.ASGITransport(make_app(engine, peers=peers))
    return engine, httpx.AsyncClient(transport=transport, base_url="http://localhost")


def asked(names):
    tensors = {"latents": torch.zeros(len(names), 16, 8, 8) + 0.5, "prompt": torch.arange(len(names))}
    tensors |= {"u": torch.full((len(names),), 0.4), "seeds": torch.arange(len(names))}
    header = {"drm": '{"prompts": [' + ", ".join(f'"{name}"' for name in names) + "]}"}
    return {"content": save(tensors, header), "headers": {"x-drm-protocol-version": "2"}}


def test_a_prompt_put_to_one_replica_is_known_to_the_other_and_fetched_once(model):
    async def run():
        prompts = model.encode_prompts(["a large red ring on white", "a small blue bar"])
        row = Conditioning(prompts.prompt_embeds[:1], prompts.pooled_prompt_embeds[:1])
        common, name = Common(1 << 20), prompt_hash(row)
        peers = [ThroughCommon(common, "a"), ThroughCommon(common, "b")]
        (first, one), (second, two) = (replica(model, each) for each in peers)
        assert (await two.post("/v1/score", **asked([name]))).status_code == 409
        assert (await one.put(f"/v1/prompts/{name}", content=prompt_body(row))).status_code == 201
        assert (await two.head(f"/v1/prompts/{name}")).status_code == 200
        peers[1].asked.clear()
        answers = await asyncio.gather(*(two.post("/v1/score", **asked([name])) for _ in range(4)))
        assert [each.status_code for each in answers] == [200] * 4 and peers[1].asked == [name]
        here = await one.post("/v1/score", **asked([name]))
        assert scores(here) == pytest.approx(scores(answers[0]), abs=1e-4)
        assert (await two.put(f"/v1/prompts/{name}", content=prompt_body(row))).json()["new"] is False
        for engine in (first, second):
            await engine.close()

    asyncio.run(run())


def test_prompts_that_the_server_encoded_are_known_by_their_hash_everywhere(model):
    async def run():
        common = Common(1 << 20)
        (first, one), (second, two) = (replica(model, ThroughCommon(common, name)) for name in "ab")
        tensors = {"latents": torch.zeros(1, 16, 8, 8) + 0.5, "prompt": torch.zeros(1, dtype=torch.int64)}
        body = save(tensors | {"u": torch.tensor([0.4]), "seeds": torch.tensor([0])}, {"drm": '{"texts": ["a ring"]}'})
        by_text = await one.post("/v1/score", content=body, headers={"x-drm-protocol-version": "2"})
        by_hash = await two.post("/v1/score", **asked(by_text.json()["prompts"]))
        assert scores(by_hash) == pytest.approx(scores(by_text), abs=1e-4)
        for engine in (first, second):
            await engine.close()

    asyncio.run(run())


def test_what_is_kept_for_all_is_bounded_and_the_longest_unused_goes_first():
    async def run():
        common = Common(10)
        for name in "abc":
            await common.keep(name, b"1234")
            await common.recall("a")
        assert [await common.known(name) for name in "abc"] == [True, False, True]
        await common.keep("a", b"12345678")
        assert await common.recall("a") == b"12345678" and not await common.known("c")

    asyncio.run(run())


def test_a_drain_counts_what_is_answered_once_every_replica_has_heard():
    async def run():
        common = Common(10)
        assert await common.report("a", "", 2, False) is False and await common.report("b", "", 1, False) is False
        assert await common.drain() is None
        assert await common.report("a", "", 2, False) is True
        await common.report("a", "", 2, True)
        assert await common.drain() is None
        await common.report("b", "", 1, True)
        assert await common.drain() == 3

    asyncio.run(run())


def test_counts_of_replicas_stand_side_by_side_each_with_its_name():
    text = "# TYPE x counter\n" + 'x{route="/a"} 2\n' + "y 3\n"
    assert together({"one": text, "two": "y 4\n"}).splitlines() == [
        "# TYPE x counter",
        'x{replica="one",route="/a"} 2',
        'y{replica="one"} 3',
        'y{replica="two"} 4',
    ]


def test_a_server_of_one_process_has_no_peers():
    assert isinstance(Alone(), Peers) and asyncio.run(Alone().metrics("x 1\n")) == "x 1\n"
    assert asyncio.run(Alone().recall("sha256:0")) is None and asyncio.run(Alone().known("sha256:0")) is False
