"""From a vote to the next picture, in a real browser: the time between a key and the frame that shows the next pair.

The page itself measures it, from the event of the key to the second frame after the pictures stand in the page. Needs
Chromium and Playwright. Pictures are drawn photographs of `--side` pixels, or those of the bundled generator.

    python -m benchmarks collecting latency
    python -m benchmarks collecting latency --source synthetic --learn --votes 200 --json latency.json
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.collecting.page import all_saved, chromium, press, voting_page, waits
from dina_lrm.collecting.asking.job import served
from dina_lrm.collecting.settings import AnnotateSettings
from dina_lrm.data.votes import CollectionSettings, VoteStore
from dina_lrm.synthetic.photographs import write_photographs


def main(words: list[str] | None = None) -> None:
    """Vote by keys, and print the percentiles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", choices=("photographs", "synthetic"), default="photographs")
    for name, value in (("votes", 100), ("side", 1024), ("pause", 400), ("pictures", 40)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--learn", action="store_true", help="with the bundled model learning in the background")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(words)
    browser = chromium()
    with tempfile.TemporaryDirectory() as place:
        settings = _settings(Path(place), options)
        with served(settings) as (address, collection):
            times = np.array(voted(browser, address, options.votes, options.pause))
            found: dict[str, Any] = {"votes": len(times), "stored": collection.votes}
    found |= {f"p{share}_ms": float(np.percentile(times, share)) for share in (50, 95, 99)}
    found |= {"most_ms": float(times.max()), "source": options.source, "learn": options.learn}
    found |= {"pause_ms": options.pause}
    print(
        f"{found['votes']} votes on {options.source}, one each {options.pause} ms: next picture after "
        f"{found['p50_ms']:.0f} ms (median), {found['p95_ms']:.0f} ms (95 %), {found['most_ms']:.0f} ms (longest); "
        f"{found['stored']} votes stored"
    )
    if options.json is not None:
        options.json.write_text(json.dumps(found))


def voted(browser: str, address: str, votes: int, pause: int) -> list[float]:
    """Press keys, so many milliseconds after each pair is shown; the milliseconds from each key to the next pair."""
    with voting_page(browser, address) as page:
        for number in range(votes):
            page.wait_for_timeout(pause)
            press(page, "12"[number % 2], number)
        all_saved(page)
        return waits(page)


def _settings(place: Path, options: argparse.Namespace) -> AnnotateSettings:
    given = {"out": place / "votes.sqlite", "port": 0, "learn": "synthetic" if options.learn else None}
    VoteStore.open(place / "votes.sqlite", CollectionSettings(fastest_ms=0)).close()  # quick votes teach too
    if options.source == "synthetic":
        return AnnotateSettings("synthetic", **given)
    folder = place / "photographs"
    write_photographs(folder, options.pictures, seed=0)
    for path in folder.glob("*.jpg"):
        Image.open(path).resize((options.side, options.side), Image.Resampling.LANCZOS).save(path, quality=92)
    return AnnotateSettings(str(folder), **given)


if __name__ == "__main__":
    main()
