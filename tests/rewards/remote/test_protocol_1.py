"""Remote rewards: a real server that scores as the model beside it does, and every way in which a server can fail."""

import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from safetensors.torch import load

from dina_lrm import LatentRewardModel
from dina_lrm.alignment.run_folder import RunFolder
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.reports.records import plain
from dina_lrm.rewards.addresses import without_password, without_passwords
from dina_lrm.rewards.names import load_reward
from dina_lrm.rewards.remote import RemoteReward, RemoteRewardError
from dina_lrm.sampling.objective import Objective
from dina_lrm.sampling.reward_term import RewardTerm
from tests.alignment.runs import GRPO, PROMPTS, a_generator, updated

pytestmark = pytest.mark.filterwarnings("ignore:.*speaks protocol 1 alone")


class Server:
    """Speaks version 1; `answers` are what the next requests get in place of scores: a status, a body, or a pause."""

    def __init__(self, model):
        self.model, self.answers, self.requests, self.late = model, [], 0, threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.answer(200 if self.path == "/healthz" else 404, "")

            def do_POST(self):
                server.requests += 1
                body = self.rfile.read(int(self.headers["content-length"]))
                given = server.answers.pop(0) if server.answers else None
                if given == "pause":
                    server.late.wait(5)
                elif isinstance(given, int):
                    self.answer(given, "no more today")
                else:
                    self.answer(200, given or server.scored(load(body)))

            def answer(self, status, text):
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def scored(self, blob):
        told = Conditioning(blob["prompt_embeds"], blob["pooled_prompt_embeds"])
        seed = int(blob["seeds"][0])
        with torch.no_grad():
            scores = self.model.score_latents(blob["latents"], told, float(blob["u"][0]), seed=seed)
        return json.dumps({"protocol_version": "1", "raw_scores": scores.tolist()})

    def close(self):
        self.late.set()
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture(scope="module")
def model():
    return LatentRewardModel.from_pretrained("synthetic")


@pytest.fixture
def server(model):
    started = Server(model)
    yield started
    started.close()


def quick(server, **changes):
    return RemoteReward(server.url, 0.2, **{"timeout": 0.5, "retries": 2, "backoff": 0.01, **changes})


def latents():
    return torch.randn(3, 16, 8, 8, generator=torch.Generator().manual_seed(0))


def test_a_remote_reward_scores_as_the_model_beside_it(server, model):
    reward, told = quick(server, timeout=30.0), model.encode_prompts(PROMPTS)
    own = model.score_latents(latents(), told, 0.2, seed=5)
    torch.testing.assert_close(reward.score(latents(), told, seed=5), own, rtol=1e-5, atol=1e-5)
    named = RemoteReward(server.url, 0.2, encode=model.encode_prompts)
    own = model.score_latents(latents(), told, 0.2)
    torch.testing.assert_close(named(latents(), PROMPTS), own, rtol=1e-5, atol=1e-5)


def test_it_takes_part_in_an_objective_and_a_policy_learns_from_it(server, model):
    term = RewardTerm(f"remote:{server.url}", noise_level=0.2)
    generator = a_generator()
    told = generator.encode_prompts(PROMPTS)
    found = Objective(generator, (term,), differentiable=False)(latents(), PROMPTS, 5, told)
    own = model.score_latents(latents(), model.encode_prompts(PROMPTS), 0.2, seed=5)
    torch.testing.assert_close(found.total, own, rtol=1e-4, atol=1e-4)
    outcome = updated(replace(GRPO, rewards=(term,)))
    assert outcome.gradient_norm > 0
    with pytest.raises(ValueError, match="has no gradient"):
        Objective(generator, (term,))


def test_a_password_is_sent_and_kept_nowhere(server, tmp_path):
    """Neither in a run's folder nor in the names of its numbers; a run that goes on may have another one."""
    address = server.url.removeprefix("http://")

    def folder(name):
        rewards = (RewardTerm(f"remote:http://{name}{address}", 0.5), RewardTerm("sharpness", 0.5))
        return RunFolder(tmp_path, replace(GRPO, rewards=rewards), {})

    folder("me:secret@").begin()
    assert f"remote:http://{address}" in (tmp_path / "config.json").read_text()
    assert "secret" not in (tmp_path / "config.json").read_text()
    for name in ("", "me:secret@", "me:other@"):
        assert folder(name).check(resume=True) == []
    with pytest.raises(ValueError, match="started with other settings: rewards"):
        folder("me:secret@elsewhere.").check(resume=True)
    stored = json.loads((tmp_path / "config.json").read_text())
    stored["rewards"][0]["name"] = f"remote:http://me:secret@{address}"  # as earlier versions kept it
    (tmp_path / "config.json").write_text(json.dumps(stored))
    assert folder("me:other@").check(resume=True) == []
    folder("me:other@").begin()
    assert "secret" not in (tmp_path / "config.json").read_text()
    objective = Objective(a_generator(), (RewardTerm(f"remote:http://me:secret@{address}"),), differentiable=False)
    assert objective.rewards[0].url == f"http://me:secret@{address}"
    assert list(objective.weights) == [f"remote:http://{address}"]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("remote:http://me:secret@host:1/a@b", "remote:http://host:1/a@b"),
        ("remote:https://a@b:c@host", "remote:https://host"),
        ("remote:http://host/a@b", "remote:http://host/a@b"),
        ("latent:me@host", "latent:me@host"),
        ("a prompt, me:you@home", "a prompt, me:you@home"),
    ],
)
def test_of_an_address_alone_the_password_is_left_out(name, kept):
    assert without_password(name) == kept
    assert without_passwords({"rewards": [{"name": name, "weight": 1}]}) == {"rewards": [{"name": kept, "weight": 1}]}
    assert plain({"arguments": (name, 3)}) == {"arguments": [kept, 3]}


@pytest.mark.parametrize("failure", [503, 429, "pause"])
def test_a_server_that_is_busy_or_slow_is_asked_again(server, model, failure):
    server.answers = [failure, failure]
    told = model.encode_prompts(PROMPTS)
    assert len(quick(server, timeout=3.0 if failure == "pause" else 30.0).score(latents(), told)) == 3
    assert server.requests == 3


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([503] * 3, "503 Service Unavailable: no more today"),
        (["pause"] * 3, "no answer in 3 attempts of 0.5 s"),
        ([400], "400 Bad Request: no more today"),
        (["not json"], "no scores in 'not json'"),
        (['{"raw_scores": [1, 2, 3]}'], "protocol_version"),
        (['{"protocol_version": "2", "raw_scores": [1, 2, 3]}'], "protocol version '2'; accepted: '1'"),
        (['{"protocol_version": "1", "raw_scores": [1, 2]}'], "2 scores for 3 latents"),
        (['{"protocol_version": "1", "raw_scores": [1, NaN, 2]}'], "it holds NaN"),
    ],
)
def test_what_is_no_answer_is_an_error_that_says_why(server, model, answers, message):
    server.answers = list(answers)
    with pytest.raises(RemoteRewardError, match=message):
        quick(server).score(latents(), model.encode_prompts(PROMPTS))
    # A request that is wrong is not sent again
    assert server.requests == len(answers)


def test_an_address_that_is_none_and_one_where_nobody_is(server):
    with pytest.raises(ValueError, match="no address; accepted: remote:http://HOST:PORT"):
        load_reward("remote:somewhere")
    assert load_reward(f"remote:{server.url}").kind == "latent"
    nobody = RemoteReward("http://127.0.0.1:9", retries=1, backoff=0.01)
    with pytest.raises(RemoteRewardError, match=r"no answer in 2 attempts: 127\.0\.0\.1:9 refused the connection"):
        nobody.check_ready()
    with pytest.raises(ValueError, match="reads latents with their conditioning"):
        quick(server)(latents(), PROMPTS)
