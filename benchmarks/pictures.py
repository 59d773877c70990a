"""The pictures of README and docs, made again on today's code.

    python -m benchmarks.pictures [--patients 3000] [--home FOLDER] [--out docs/images]
    python -m benchmarks.pictures --page http://127.0.0.1:3000      # after make demo, beside make serve

Simulates, trains leakage and refracture with every learner into FOLDER, unless it was done there before, and writes
``training.png`` (what the terminal shows), ``mlflow.png`` (the runs of leakage side by side in the MLflow UI),
``report.png`` (the performance part of a report), ``compare.png`` and ``nomogram_*.png`` (the small models of
tests/fitted.py). With ``--page`` it draws instead ``page*.png``, the page of a service that runs, with its example:
they agree with the sample answer of README if the service answers with the release of ``make demo``. Needs Chromium;
look at each picture before it is committed.
"""

from __future__ import annotations

import argparse
import html
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from PIL import Image
from playwright.sync_api import Browser, Page

import models
from models.nomogram import nomogram
from tests.browser import chromium
from tests.fitted import fitted
from training import nomogram_png
from training.tracking import Store

#: The words of the pictures of a terminal; the export is named as README names it.
COMMAND = "cemrisk train redcap.csv --dictionary redcap_dictionary.csv --seed 1"
TERMINAL = "margin:0;padding:18px;background:#10202e;color:#f2f5f7;font:13px/1.35 'DejaVu Sans Mono',monospace"
STARTS_WITHIN_SECONDS = 120
#: MLflow opens its chat over the runs at the first visit of a browser, unless it has noted that it did so before.
NO_CHAT = "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"


def main() -> None:
    """Train if need be, then draw."""
    parser = argparse.ArgumentParser(
        description="Make the pictures of README and docs again.",
        epilog="example:\n  python -m benchmarks.pictures --home /tmp/pictures",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--patients", type=int, default=3000, metavar="N", help="simulated patients (3000)")
    parser.add_argument(
        "--home", type=Path, metavar="FOLDER", help="where the training is kept; by default thrown away"
    )
    parser.add_argument("--out", type=Path, default=Path("docs/images"), metavar="FOLDER", help="(docs/images)")
    parser.add_argument("--page", metavar="URL", help="draw only the page of the service that runs there")
    given = parser.parse_args()
    if given.page:
        with chromium.launched() as browser:
            page_of_service(browser, given.page.rstrip("/"), given.out)
        return
    with tempfile.TemporaryDirectory(prefix="cemrisk-pictures-") as folder:
        home = (given.home or Path(folder)).resolve()
        said = trained(home, given.patients)
        nomograms(given.out)
        with chromium.launched() as browser:
            terminal(browser, said, given.out / "training.png")
            pages(browser, home, given.out)
            mlflow(browser, home, given.out / "mlflow.png")


def trained(home: Path, patients: int) -> str:
    """What the training printed; it is done once and its words are kept beside it."""
    kept = home / "training.txt"
    if not kept.exists():
        home.mkdir(parents=True, exist_ok=True)
        cemrisk(home, "simulate", "--patients", str(patients), "--seed", "1", "--out", str(home / "simulated"))
        redcap, words = (str(home / "simulated" / name) for name in ("redcap.csv", "redcap_dictionary.csv"))
        kept.write_text(cemrisk(home, "train", redcap, "--dictionary", words, "--seed", "1"), encoding="utf-8")
    return kept.read_text(encoding="utf-8")


def cemrisk(home: Path, *arguments: str) -> str:
    """The output of a command; its progress goes to our standard error."""
    command = [sys.executable, "-m", "cemrisk", *arguments]
    done = subprocess.run(command, env=environment(home), stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def environment(home: Path) -> Mapping[str, str]:
    """Ours with the home of the pictures."""
    return dict(os.environ) | {"CEMRISK_HOME": str(home)}


def nomograms(out: Path) -> None:
    """Those of the small models that the tests fit."""
    for outcome, learner in (("leakage", "logistic"), ("refracture", "cox")):
        with tempfile.TemporaryDirectory() as folder:
            models.save(fitted(outcome, learner), folder + "/model")  # type: ignore[arg-type]
            found = nomogram(models.load(folder + "/model"))  # as it is kept: with its name and its notice
        (out / f"nomogram_{outcome}.png").write_bytes(nomogram_png.png(found, dots_per_inch=110))


def terminal(browser: Browser, said: str, path: Path) -> None:
    """The command and what it printed, white on black, as wide as its longest line."""
    page = browser.new_page(viewport={"width": 400, "height": 100})
    page.set_content(
        f'<pre style="{TERMINAL};display:inline-block">{html.escape(f"$ {COMMAND}")}\n{html.escape(said)}</pre>'
    )
    page.locator("pre").screenshot(path=path)


def pages(browser: Browser, home: Path, out: Path) -> None:
    """The performance part of the report of a leakage model, and the comparison of the three."""
    report, compare = home / "report.html", home / "compare.html"
    cemrisk(home, "report", "leakage", "1", "--out", str(report))
    cemrisk(home, "compare", "--outcome", "leakage", "--out", str(compare))
    page = browser.new_page(viewport={"width": 1000, "height": 1250})
    page.goto(report.as_uri())
    page.evaluate("document.querySelector('#performance').scrollIntoView()")
    page.screenshot(path=out / "report.png")
    page.goto(compare.as_uri())
    page.screenshot(path=out / "compare.png", full_page=True)


def page_of_service(browser: Browser, url: str, out: Path) -> None:
    """The example on a desktop, in Chinese, on a phone with another plan, and on paper (A4, 87 dots per inch)."""
    for name, language, size in (("page", "en", (1280, 1500)), ("page_zh", "zh", (1280, 1500))):
        few_colours(answered(browser, url, language, size).screenshot(), out / f"{name}.png")
    phone = answered(browser, url, "en", (390, 1750))
    phone.locator("#plan-procedure").select_option("PKP")
    phone.locator("#plan-shown").wait_for()
    phone.wait_for_timeout(1_000)  # the answer follows the last move
    phone.evaluate("document.querySelector('#result').scrollIntoView()")
    few_colours(phone.screenshot(), out / "page_phone.png")
    paper = answered(browser, url, "en", (720, 990))
    paper.emulate_media(media="print")
    paper.evaluate("document.body.style.padding = '12px'")  # in the place of the margin that a printer leaves
    few_colours(paper.screenshot(), out / "page_print.png")


def answered(browser: Browser, url: str, language: str, size: tuple[int, int]) -> Page:
    """The page with the answer for the worked example, in a window of ``size`` pixels."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, locale="en-GB")
    page.goto(f"{url}/?lang={language}#example")
    page.locator('[data-card="refracture"]').wait_for()
    return page


def few_colours(png: bytes, path: Path) -> None:
    """The picture with 256 colours: a third of the bytes, and text reads the same."""
    Image.open(io.BytesIO(png)).convert("RGB").quantize(256).save(path, optimize=True)


def mlflow(browser: Browser, home: Path, path: Path) -> None:
    """The three runs of leakage beside each other, calibration in sight."""
    store = Store(home, None)
    runs = [version.run_id for version in store.versions("leakage")]
    experiments = quote(json.dumps([store.experiment("leakage")]))
    with served(home) as address:
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.add_init_script(NO_CHAT)
        page.goto(f"{address}/#/compare-runs?runs={quote(json.dumps(runs))}&experiments={experiments}")
        page.get_by_text("Run details").first.wait_for(timeout=60_000)
        unfold(page)
        page.screenshot(path=path, full_page=True)


def unfold(page: Page) -> None:
    """Fold what says little (the parallel coordinates, the parameters) away, so that the metrics are seen."""
    for head in ("Visualizations", "Parameters"):
        page.get_by_text(head, exact=True).first.click()
    page.wait_for_timeout(2_000)


@contextmanager
def served(home: Path) -> Iterator[str]:
    """The address of ``make ui`` on a free port, stopped afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "training.tracking.ui", "--port", str(port)]
    process = subprocess.Popen(command, env=environment(home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def wait_for(address: str) -> None:
    """Raises ``TimeoutError`` if nothing answers in time."""
    ends = time.monotonic() + STARTS_WITHIN_SECONDS
    while time.monotonic() < ends:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(f"the MLflow UI did not start within {STARTS_WITHIN_SECONDS} s")


if __name__ == "__main__":
    main()
