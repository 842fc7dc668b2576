"""A served collection of small pictures, and questions to it as its page asks them."""

import http.client
import itertools
import json
from contextlib import contextmanager
from urllib.parse import urlsplit

from dina_lrm.collecting.asking.job import served
from dina_lrm.collecting.settings import AnnotateSettings
from tests.data.votes.drawn import pictures

_sent = itertools.count(1)
PROMPT = 'a <b>"red"</b> ring </script>'


def settings_of(folder, count=5, **more):
    """Settings of a folder with so many pictures; no controls and no repeats unless they are asked for."""
    if not (folder / "f").exists():
        pictures(folder / "f", count)
    own = {"prompt": PROMPT, "controls": 0.0, "repeats": 0.0, "port": 0, "out": folder / "votes.sqlite"}
    return AnnotateSettings(str(folder / "f"), **own | more)


class Asked:
    """Asks a server as its page does; `token` goes with every request."""

    def __init__(self, address, collection):
        parts = urlsplit(address)
        self.place, self.token, self.collection, self.address = parts.netloc, parts.fragment, collection, address

    def __call__(self, method, path, body=None, **headers):
        """Status, headers and body; a header of None is left out."""
        connection = http.client.HTTPConnection(self.place, timeout=30)
        given = {"Host": self.place, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if self.token:
            given = {"Authorization": f"Bearer {self.token}"} | given
        if method == "POST":
            given = {"Content-Type": "application/json"} | given
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        connection.request(method, path, content, {name: value for name, value in given.items() if value is not None})
        answer = connection.getresponse()
        found = answer.status, answer.headers, answer.read()
        connection.close()
        return found

    def post(self, path, **body):
        """The JSON of an answer, which must be right."""
        status, _, found = self("POST", f"/api/{path}", body)
        assert status == 200, found
        return json.loads(found)

    def asks(self, name="Ada", count=1, holding=()):
        """What a person is asked next; waits until pairs are there."""
        while True:
            found = self.post("asks", annotator=name, count=count, holding=list(holding))
            if found["asks"] or found["more"] == "none":
                return found["asks"]

    def event(self, ask, answer="left", **more):
        """A vote on what was asked, with an id of its own."""
        given = {"pair": ask["pair"], "question": ask["question"], "side": ask["side"], "answer": answer}
        own = {"client_id": f"client-{next(_sent)}", "kind": "vote", "ms": 900, "at": "2026-11-30T10:00:00.000Z"}
        return own | given | {"screen": "1280x900", "reason": None} | more

    def vote(self, event, name="Ada"):
        """What became of one event."""
        return self.post("votes", annotator=name, events=[event])["results"][0]


@contextmanager
def asked(folder, count=5, **more):
    """A server, to be asked."""
    with served(settings_of(folder, count, **more)) as (address, collection):
        yield Asked(address, collection)
