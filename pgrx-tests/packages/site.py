"""The site of `make docs` in a browser: site.py FOLDER CHROMIUM.

Every page is opened at the width of a phone: nothing wider than the screen, no picture that does not
load, no error of a script, no request to another server. The search finds an error by its code.
"""

import functools
import http.server
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import sync_playwright

PHONE = {"width": 390, "height": 844}
WIDER = "document.documentElement.scrollWidth - innerWidth"
BROKEN = """async () => {
    const loaded = await Promise.allSettled([...document.images].map(i => { i.loading = "eager"; return i.decode() }));
    return [...document.images].filter((i, n) => loaded[n].status != "fulfilled" || !i.naturalWidth).map(i => i.src);
}"""
PICTURES = {"docs/caps/": 2, "docs/key-locks/": 1, "docs/versions/": 1, "bench/results/": 4}
# What the search has to find, and where.
SEARCHED = {
    "RG409": "docs/errors/?h=rg409#rg409-the-row-has-changed",
    "compare_and_swap": "reference/compare_and_swap/",
    "pgbouncer": "docs/operations/",
}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def serve(folder):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/"


def open_page(page, base, path):
    """What is wrong with a page."""
    wrong = []
    page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
    page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url}"))
    page.on("request", lambda r: wrong.append(f"elsewhere: {r.url}") if urlsplit(r.url).netloc not in base else None)
    page.goto(base + path)
    if (wider := page.evaluate(WIDER)) > 0:
        wrong.append(f"{wider} pixels wider than a phone")
    wrong += [f"broken picture: {source}" for source in page.evaluate(BROKEN)]
    if page.locator("article h1").count() != 1:
        wrong.append("not one title")
    if (pictures := page.locator("article img").count()) < PICTURES.get(path, 0):
        wrong.append(f"{pictures} pictures instead of {PICTURES[path]}")
    return wrong


def search(page, base, words, place):
    """What is wrong with a search."""
    page.goto(base, wait_until="networkidle")
    page.locator("label[for=__search]").first.click()
    # The search listens for keys.
    page.locator("input.md-search__input").press_sequentially(words)
    first = page.locator(".md-search-result__link")
    first.first.wait_for(state="visible", timeout=20_000)
    found = [link.get_attribute("href") for link in first.all()]
    return [] if any(place in link for link in found) else [f"{place} is not among {found}"]


def main(folder, chromium):
    base = serve(folder)
    pages = sorted(str(p.parent.relative_to(folder)) + "/" for p in Path(folder).rglob("index.html"))
    counts = {True: 0, False: 0}

    def told(what, wrong):
        print("FAILED " if wrong else "ok     ", what, *(f"\n        {w}" for w in wrong))
        counts[not wrong] += 1

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for path in pages:
            page = browser.new_page(viewport=PHONE)
            told(path, open_page(page, base, path.removeprefix("./")))
            page.close()
        for words, place in SEARCHED.items():
            page = browser.new_page(viewport=PHONE)
            told(f"search for {words}", search(page, base, words, place))
            page.close()
        browser.close()
    missing = [path for path in PICTURES if path not in pages]
    told("the pages with plots", missing)
    print(f"{counts[True]} passed, {counts[False]} failed")
    return counts[False]


if __name__ == "__main__":
    sys.exit(bool(main(*sys.argv[1:])))
