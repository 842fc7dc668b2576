"""Requests watched from outside: their times stand in a header, and whoever goes away is not worked for."""

import asyncio
import base64
import io
import json
import threading

import pytest
from PIL import Image

from dina_lrm.rewards.function import FunctionReward
from dina_lrm.serving.app import make_app
from dina_lrm.serving.engine import Engine
from dina_lrm.serving.limits import Limits
from dina_lrm.serving.reward import PictureServed


class Slow:
    """The mean of pictures, when it may; and how many it was given."""

    def __init__(self):
        self.free, self.seen = threading.Event(), []

    def __call__(self, images, prompts):
        self.seen.append(len(images))
        self.free.wait(5)
        return images.mean(dim=(1, 2, 3))


@pytest.fixture
def slow():
    return Slow()


@pytest.fixture
def app(slow):
    served = PictureServed("mean", FunctionReward(slow, "mean"))
    return make_app(Engine([served], Limits(), most=8, wait=0.001))


def body(grey):
    data = io.BytesIO()
    Image.new("RGB", (8, 8), (grey,) * 3).save(data, "PNG")
    asked = {"prompts": ["a ring"], "images": [{"b64": base64.b64encode(data.getvalue()).decode()}]}
    return json.dumps(asked).encode()


async def asked(app, grey, leaves=None):
    """Status, headers and body of one request whose client goes away when `leaves` is set."""
    messages, sent = [{"type": "http.request", "body": body(grey), "more_body": False}], []

    async def receive():
        if messages:
            return messages.pop()
        await (leaves or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    path, headers = "/v1/score/images", [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "headers": headers}
    scope |= {"query_string": b"", "http_version": "1.1", "scheme": "http", "root_path": "", "state": {}}
    await app(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


def test_whoever_goes_away_leaves_the_queue_and_is_not_worked_for(app, slow):
    async def main():
        leaves = asyncio.Event()
        first = asyncio.ensure_future(asked(app, 10))
        while not slow.seen:
            await asyncio.sleep(0.01)
        goes, stays = asyncio.ensure_future(asked(app, 20, leaves)), asyncio.ensure_future(asked(app, 30))
        batcher = app.state.desk.engine.batcher("mean")
        while batcher.waiting < 2:
            await asyncio.sleep(0.01)
        leaves.set()
        assert (await goes)[0] == 499
        assert batcher.waiting == 1
        slow.free.set()
        answers = [await first, await stays]
        assert (batcher.waiting_bytes, app.state.desk.busy) == (0, 0)
        await app.state.desk.engine.close()
        return answers

    answers = asyncio.run(main())
    assert slow.seen == [1, 1]
    found = [json.loads(text)["results"]["mean"]["scores"]["raw"][0] for _, _, text in answers]
    assert found == pytest.approx([10 / 255, 30 / 255])


def test_an_answer_says_how_long_it_waited_and_is_counted(app, slow):
    slow.free.set()

    async def main():
        found = await asked(app, 10)
        await app.state.desk.engine.close()
        return found

    status, headers, text = asyncio.run(main())
    told = dict(part.split(";dur=") for part in headers[b"server-timing"].decode().split(", "))
    assert status == 200
    assert {name: float(value) for name, value in told.items()} == json.loads(text)["ms"]
    counted = app.state.desk.metrics.text({})
    assert 'dina_lrm_requests_total{route="/v1/score/images",status="200"} 1' in counted
