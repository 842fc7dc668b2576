"""A taste is taught in a real browser: somebody looks at the page of `dina-lrm annotate --learn` and presses keys.

The command serves a folder of pictures on which tastes differ (one flaw each, as in `taught`: on the world's own
mixture the bundled model ranks as nearly everybody does, and no vote could move it far). In a headless Chromium
somebody of another taste (`--taste`) reads the pixels and the prompt that the page shows, and presses 1 or 2, as unsure
as the world's people are. When all votes are cast the command is interrupted, as people do it, and writes its model.
Measured are the rank correlations of that model's scores with the true utility of pictures that nobody voted on, and of
the bundled model's; whether the store holds the keys that were pressed; and the page's own time from a key to the next
pair. Pairs are those that the command chooses (`eig`), or all at random (`random`), by the random share of the store.

Whoever presses is quicker than people are. So that a busy machine changes nothing, the first key waits until the model
has read all pictures, and others until it has learnt from all but the last few votes, as it has long before a person
answers; and the store takes votes of any speed. `--out` is added to behind each run, and gone on with.

    python -m benchmarks collecting browser --out browser.jsonl
    python -m benchmarks collecting browser --seeds 0 --votes 60 --prompts 40
"""

from __future__ import annotations

import argparse
import hashlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image
from scipy.special import ndtr

from benchmarks.collecting.contested import IMAGES, KINDS, World, correlations, world
from benchmarks.collecting.curves import MEASURES, interval
from benchmarks.collecting.kept import Kept
from benchmarks.collecting.page import NAME, PATIENCE_MS, all_saved, chromium, press, voting_page, waits
from dina_lrm import LatentRewardModel
from dina_lrm.data.votes import CollectionSettings, VoteStore
from dina_lrm.synthetic.utility import PERSONALITIES

if TYPE_CHECKING:
    from playwright.sync_api import Page

RANDOM_SHARES: Final = {"random": 1.0, "eig": CollectionSettings().random_share}
"""The ways by which pairs are chosen, as the share of them that the command draws at random."""
LEARN_EVERY: Final = 10
_SHOWN: Final = """async () => [document.getElementById("prompt").textContent, ...await Promise.all(
  ["left", "right"].map(async side => {
    const image = document.querySelector("#" + side + " img");
    const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
    const drawing = canvas.getContext("2d");
    drawing.drawImage(image, 0, 0);
    const pixels = drawing.getImageData(0, 0, canvas.width, canvas.height).data;
    const found = await crypto.subtle.digest("SHA-256", pixels);
    return [...new Uint8Array(found)].map(byte => byte.toString(16).padStart(2, "0")).join("");
  }))]"""
"""The prompt, and the hashes of the pixels that stand on the left and on the right."""


def main(words: list[str] | None = None) -> None:
    """Vote, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("votes", 300), ("prompts", 150), ("held-out", 50)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--seeds", type=int, nargs="+", default=[*range(5)])
    parser.add_argument("--taste", default="aesthete", choices=sorted(PERSONALITIES))
    parser.add_argument("--pictures", default="contested", choices=KINDS)
    parser.add_argument("--ways", nargs="+", default=[*RANDOM_SHARES], choices=[*RANDOM_SHARES])
    parser.add_argument("--out", type=Path, help="a file of JSON lines, added to behind each run and gone on with")
    options = parser.parse_args(words)
    browser = chromium()
    names = ("votes", "prompts", "held_out", "taste", "pictures")
    kept = Kept(options.out, {"part": "browser", **{name: getattr(options, name) for name in names}})
    for seed in options.seeds:
        for way in options.ways:
            if not kept.has(seed, way):
                kept.add(seed, way, run(browser, way, seed, options))
                print(f"seed {seed}, {way}: {kept.rows[-1]}", flush=True)
    print(table(kept, options.ways))


def run(browser: str, way: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """One person votes on one world, and teaches one model."""
    own = world(options.pictures, options.prompts + options.held_out, PERSONALITIES[options.taste], seed)
    voted, others = range(options.prompts * IMAGES), range(options.prompts * IMAGES, len(own.images))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        own.write(place / "voted", voted)
        own.write(place / "others", others)
        begun(place / "votes.sqlite", way)
        somebody = Somebody(own, PERSONALITIES[options.taste].noise, seed)
        with annotating(place, seed) as address, voting_page(browser, address) as page:
            pressed = somebody.votes(page, address, options.votes)
            milliseconds = waits(page)
        return {
            **stored(place / "votes.sqlite", pressed),
            "before": measured("synthetic", own, others),
            "after": measured(str(place / "votes-model"), own, others),
            "p50_ms": float(np.percentile(milliseconds, 50)),
            "p95_ms": float(np.percentile(milliseconds, 95)),
        }


def begun(path: Path, way: str) -> None:
    """A store that asks as a way says, and in which votes may be as quick as keys are pressed here."""
    VoteStore.open(path, CollectionSettings(random_share=RANDOM_SHARES[way], fastest_ms=0)).close()


@contextmanager
def annotating(place: Path, seed: int) -> Iterator[str]:
    """The command with a model that learns, interrupted behind the block; the address of its page."""
    words = ["annotate", "voted", "--learn", "synthetic", "--held-out", "others", "--controls", "0", "--repeats", "0"]
    words += ["--learn-every", str(LEARN_EVERY), "--port", "0", "--seed", str(seed), "--device", "cpu"]
    command = [sys.executable, "-m", "dina_lrm", *words]
    running = subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert running.stdout is not None
    try:
        told = list[str]()
        for line in running.stdout:
            told.append(line)
            if line.startswith("vote at "):
                break
        else:
            sys.exit(f"annotate ended: {''.join(told)}")
        yield told[-1].split()[2]
        running.send_signal(signal.SIGINT)
        rest, _ = running.communicate()
        if running.returncode or "taught is a model" not in rest:
            sys.exit(f"annotate ended with {running.returncode}: {rest}")
    finally:
        running.kill()
        running.wait()


class Somebody:
    """Looks at what the page shows, knows what it is worth to them, and presses a key."""

    def __init__(self, own: World, noise: float, seed: int) -> None:
        self._noise, self._seed = noise, seed
        looks = zip(own.prompts, map(_look, own.images), own.utility, strict=True)
        self._worth = {(prompt, look): float(worth) for prompt, look, worth in looks}

    def votes(self, page: Page, address: str, count: int) -> list[str]:
        """Cast so many votes, all of which are confirmed when this returns; the keys that were pressed."""
        pressed, learnt = list[str](), -LEARN_EVERY
        for number in range(count):
            if number - learnt >= LEARN_EVERY:
                learnt = _learnt(page, address, number)
            pressed.append(self.key(*page.evaluate(_SHOWN)))
            press(page, pressed[-1], number)
        all_saved(page)
        return pressed

    def key(self, prompt: str, left: str, right: str) -> str:
        """1 for the left one, 2 for the right one; of the same two pictures the same one, whenever they are shown."""
        first, second = sorted((left, right))
        gap = self._worth[prompt, first] - self._worth[prompt, second]
        coin = np.random.default_rng([self._seed, 34, int(first[:12], 16), int(second[:12], 16)]).random()
        better = first if coin < ndtr(gap / (np.sqrt(2) * self._noise)) else second
        return "1" if better == left else "2"


def _look(image: Image.Image) -> str:
    """The pixels of a picture as a browser gives them."""
    return hashlib.sha256(image.convert("RGBA").tobytes()).hexdigest()


def _learnt(page: Page, address: str, votes: int) -> int:
    """Wait until the model has read all pictures, and learnt from all but the last votes; from how many it has."""
    asked, pause = {"annotator": NAME, "events": []}, 0.05
    while True:
        time.sleep(pause)
        pause = min(1.0, 2 * pause)
        answer = page.request.post(f"{address}api/votes", data=asked, timeout=PATIENCE_MS)
        ranking = answer.json()["progress"]["ranking"]
        if ranking is not None and not ranking["unread"] and votes - ranking["version"] < LEARN_EVERY:
            return int(ranking["version"])


def stored(path: Path, pressed: list[str]) -> dict[str, Any]:
    """What the store holds, beside the keys that were pressed; they must be the same."""
    with VoteStore.read(path) as store:
        votes = store.votes()
        at_random = sum(store.pair(vote.pair).chosen_by != "eig" for vote in votes)
    said = ["1" if vote.answer == vote.left else "2" for vote in votes]
    if said != pressed:
        sys.exit(f"{len(pressed)} keys were pressed ({''.join(pressed)}), the store holds others ({''.join(said)})")
    return {"pressed": len(pressed), "stored": len(votes), "at_random": at_random}


def measured(model: str, own: World, rows: range) -> list[float]:
    """The rank correlations of a model's scores with true utilities."""
    scored = LatentRewardModel.from_pretrained(model, device="cpu")
    scores = scored.score([own.images[row] for row in rows], [own.prompts[row] for row in rows])
    return [*correlations(scores.numpy(), own.utility[rows.start :])]


def table(kept: Kept, ways: list[str]) -> str:
    """Means over the seeds of which all ways were measured, with their 95 % intervals."""
    seeds = kept.seeds(ways)
    lines = ["| pairs | measure | before | after | gained |", "|---|---|---|---|---|"]
    gained = {}
    for way in ways:
        before, after = (np.array(kept.of(seeds, way, name)) for name in ("before", "after"))
        gained[way] = after - before
        for place, name in enumerate(MEASURES[:2]):
            cells = (interval(one[:, place]) for one in (before, after, gained[way]))
            lines.append(f"| {way} | {name} | " + " | ".join(cells) + " |")
    if len(gained) > 1:
        lead = gained["eig"] - gained["random"]
        lines += [f"chosen over random, {name}: {interval(lead[:, at])}" for at, name in enumerate(MEASURES[:2])]
    for way in ways:
        p50, p95 = (float(np.median(kept.of(seeds, way, name))) for name in ("p50_ms", "p95_ms"))
        sums = [sum(kept.of(seeds, way, name)) for name in ("pressed", "stored", "at_random")]
        lines.append(
            f"{way}: {sums[0]} keys pressed, {sums[1]} votes stored, {sums[2]} of them on random pairs; from key to "
            f"next pair {p50:.0f} ms in the middle, {p95:.0f} ms at 95 of 100 (medians of runs)"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
