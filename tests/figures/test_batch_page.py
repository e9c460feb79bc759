from __future__ import annotations

import base64
import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from defocusfix.figures.batch_page import (
    MARK,
    BatchFailure,
    BatchPhoto,
    ReportPictures,
    batch_page,
)
from defocusfix.figures.webp import webp_within
from tests.figures.test_page import Elements

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = '<b>"rose" & $thorn</b></script><script>alert(1)</script>.jpg'
UNDECODABLE = "caf\udce9.jpg"


def pictures(seed: int) -> ReportPictures:
    rng = np.random.default_rng(seed)
    thumbnail, before, after = (
        webp_within(10_000, rng.integers(0, 256, size, np.uint8))[0]
        for size in ((20, 30, 3), (36, 48, 3), (36, 48, 3))
    )
    return ReportPictures(thumbnail, before, after, size=(400, 600), crop=(40, 80, 36, 48))


def photo(name: str, **facts) -> BatchPhoto:
    told = {
        "facts": ["600 x 400", "12.0 s"],
        "warnings": [],
        "share_out_of_focus": 0.25,
        "seconds": 12.0,
        "links": [("before", "./in/a%20b.jpg"), ("restored", "./out/a%20b.jpg")],
        "pictures": pictures(len(name)),
        **facts,
    }
    return BatchPhoto(name=name, **told)


def page(photos: list[BatchPhoto], failures: tuple[BatchFailure, ...] = (), **more) -> str:
    told = {
        "title": "Restored & more",
        "facts": [("Restored", "2 photos")],
        "settings": [("Strength", "1")],
        "remarks": ["not all of them"],
        "kinds": [],
        **more,
    }
    return "".join(batch_page(failures=failures, photos=photos, **told))


def test_pictures_are_inside_and_those_of_the_place_are_data_that_nothing_decodes():
    text = page([photo("a.jpg")])
    elements = Elements(text)
    (thumbnail,) = [i for i in elements.all("img") if i.get("src")]
    shown = pictures(len("a.jpg"))
    assert base64.b64decode(thumbnail["src"].partition("base64,")[2]) == shown.thumbnail
    assert thumbnail["loading"] == "lazy"
    (data,) = re.findall(r'<script type="application/json">(.*?)</script>', text)
    crops = json.loads(data)
    assert base64.b64decode(crops["before"]) == shown.before
    assert base64.b64decode(crops["after"]) == shown.after
    assert (crops["size"], crops["crop"]) == ([400, 600], [40, 80, 36, 48])


def test_nothing_is_loaded_from_anywhere_and_the_browser_is_told_so():
    text = page([photo("a.jpg")])
    elements = Elements(text)
    assert not re.search(r"https?://|url\(|@import", text)
    sources = [a["src"] for _, a in elements.found if "src" in a]
    assert all(source.startswith("data:") for source in sources)
    (policy,) = [m["content"] for m in elements.all("meta") if "http-equiv" in m]
    assert "default-src 'none'" in policy


def test_what_photos_and_errors_are_called_is_text_and_no_markup():
    failure = BatchFailure(HOSTILE, f"{HOSTILE} cannot be read\nand\nso on", "./in/x.jpg")
    text = page([photo(HOSTILE, warnings=[HOSTILE])], (failure,), kinds=[(HOSTILE, 3)])
    elements = Elements(text)
    assert elements.all("b") == []
    assert len(elements.all("script")) == 2  # the data of the one photo, and that of the page
    assert text.count(html.escape(HOSTILE)) >= 5
    assert elements.text.count('<b>"rose" & $thorn</b>') >= 5


def test_a_name_that_is_no_text_in_any_encoding_can_be_written():
    page([photo(UNDECODABLE)], (BatchFailure(UNDECODABLE, "odd", ""),)).encode("utf-8")


def test_photos_are_taken_one_at_a_time():
    taken: list[int] = []

    def photos():
        for number in range(3):
            taken.append(number)
            yield photo(f"{number}.jpg")

    pieces = batch_page(
        title="", facts=(), settings=(), remarks=(), kinds=(), failures=(), photos=photos()
    )
    assert MARK in next(pieces)
    assert taken == []
    next(pieces)
    assert taken == [0]


def test_a_photo_without_pictures_has_its_facts_and_links():
    elements = Elements(page([photo("a.jpg", pictures=None)]))
    assert "no picture" in elements.text
    assert "./in/a%20b.jpg" in [a["href"] for a in elements.all("a")]


# What follows needs a browser.

# Nothing here may wait: the browser gives the page back once it has loaded.
PROBE = """
const results = {};
const press = (key, on = dialog) =>
  on.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
const shown = () => [...grid.children].filter((c) => !c.hidden).map((c) => c.dataset.name);
const type = (text) => { search.value = text; search.dispatchEvent(new Event("input")); };
try {
  STEPS
} catch (error) { results.error = String(error); }
addEventListener("load", () => {  // pictures are there now
  results.decoded = [before, after, whole].map((picture) => picture.naturalWidth);
  const out = document.createElement("pre");
  out.id = "results";
  out.textContent = JSON.stringify(results);
  document.body.append(out);
});
"""


def browsed(text: str, steps: str, folder: Path) -> dict[str, object]:
    """What `steps`, run in the page as a browser shows it, put into `results`."""
    assert CHROMIUM is not None
    file = folder / "page.html"
    script = f"<script>{PROBE.replace('STEPS', steps, 1)}</script></body>"
    file.write_text(text.replace("</body>", script), encoding="utf-8")
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,900"]
    options.append(f"--user-data-dir={folder / 'profile'}")
    command = [CHROMIUM, *options, "--dump-dom", file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="results">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found is not None, done.stdout[-2000:]
    results: dict[str, object] = json.loads(html.unescape(found[1]))
    assert "error" not in results, results
    return results


needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")


@pytest.fixture
def three() -> str:
    photos = [
        photo("a.jpg", share_out_of_focus=0.1, seconds=3.0),
        photo("Ärger.jpg", share_out_of_focus=0.9, seconds=1.0, warnings=["profile left out"]),
        photo(HOSTILE, share_out_of_focus=None, seconds=9.0),
    ]
    failures = (BatchFailure("broken.jpg", "cut off", ""), BatchFailure("b2.jpg", "odd", ""))
    return page(photos, failures, kinds=[("profile left out", 1)])


@pytest.mark.slow
@needs_browser
def test_in_a_browser_a_click_opens_the_place_and_keys_and_slider_work(three, tmp_path):
    results = browsed(
        three,
        """
        find("article button").click();
        results.opened = [dialog.open, find("#shown").textContent];
        results.at = scale.textContent;
        results.place = [place.style.left, place.style.top];
        range.value = 20; range.dispatchEvent(new Event("input"));
        results.cut = after.style.clipPath;
        const box = before.getBoundingClientRect();
        const pointer = { button: 0, pointerId: 1, clientX: box.left + box.width * .75 };
        slider.setPointerCapture = () => {};
        slider.dispatchEvent(new PointerEvent("pointerdown", pointer));
        results.dragged = range.value;
        press("ArrowRight");
        results.next = find("#shown").textContent;
        press("ArrowRight", range);
        results.stays = find("#shown").textContent;
        press("ArrowRight"); press("ArrowRight");
        results.last = [find("#shown").textContent, find(".next").disabled];
        press("ArrowLeft");
        results.back = find("#shown").textContent;
        results.warning = find(".told .warnings").textContent;
        find(".close").click();
        dialog.dispatchEvent(new Event("close"));  // which comes later otherwise
        results.closed = [dialog.open, document.activeElement.ariaLabel];
        """,
        tmp_path,
    )
    assert results["opened"] == [True, "a.jpg"]
    assert results["decoded"] == [48, 48, 30]
    assert results["at"] == "100 %"
    assert results["place"] == [f"{100 * 80 / 600:.4f}%", "10%"]
    assert results["cut"] == "inset(0px 0px 0px 20%)"
    assert results["dragged"] == "75"
    assert (results["next"], results["stays"]) == ("Ärger.jpg", "Ärger.jpg")
    assert results["last"] == [HOSTILE, True]
    assert (results["back"], results["warning"]) == ("Ärger.jpg", "profile left out")
    assert results["closed"] == [False, "Ärger.jpg, before and after"]


@pytest.mark.slow
@needs_browser
def test_in_a_browser_photos_are_filtered_and_sorted(three, tmp_path):
    results = browsed(
        three,
        """
        results.all = [shown(), count.textContent];
        find("[data-which=warned]").click();
        results.warned = [shown(), find(".failed").hidden];
        find("[data-which=failed]").click();
        results.failed = [shown(), rows.filter((row) => !row.hidden).length, count.textContent];
        type("cut OFF");
        results.one = rows.filter((row) => !row.hidden).map((row) => row.textContent);
        type(""); find("[data-which=all]").click();
        type("A\\u0308RG");
        results.typed = shown();
        find(".kinds button").click();
        results.kind = [shown(), search.value];
        type(""); find("[data-which=all]").click();
        for (const key of ["share", "seconds", "given"]) {
          order.value = key; order.dispatchEvent(new Event("change"));
          results[key] = shown();
        }
        """,
        tmp_path,
    )
    names = ["a.jpg", "Ärger.jpg", HOSTILE]
    assert results["all"] == [names, "3 shown"]
    assert results["warned"] == [["Ärger.jpg"], True]
    assert results["failed"] == [[], 2, "2 failed"]
    assert results["one"] == ["broken.jpgcut off"]
    assert results["typed"] == ["Ärger.jpg"]
    assert results["kind"] == [["Ärger.jpg"], "profile left out"]
    assert results["share"] == ["Ärger.jpg", "a.jpg", HOSTILE]
    assert results["seconds"] == [HOSTILE, "a.jpg", "Ärger.jpg"]
    assert results["given"] == names


@pytest.mark.slow
@needs_browser
def test_in_a_browser_a_thousand_photos_are_there_and_can_be_looked_through(tmp_path):
    rng = np.random.default_rng(1)
    thumbnail = rng.integers(0, 256, (60, 90, 3), np.uint8)
    crops = rng.integers(0, 256, (2, 180, 240, 3), np.uint8)
    files = webp_within(29_000, thumbnail, *crops)
    many = ReportPictures(*files, size=(4000, 6000), crop=(400, 600, 180, 240))
    photos = [photo(f"{n:04}.jpg", seconds=float(n), pictures=many) for n in range(1000)]
    text = page(photos)
    assert 25_000_000 < len(text) < 42_000_000
    results = browsed(
        text,
        """
        type("099");
        results.found = shown();
        type("");
        order.value = "seconds"; order.dispatchEvent(new Event("change"));
        results.first = shown()[0];
        find("article button").click();
        for (let n = 0; n < 50; n++) press("ArrowRight");
        results.at = find("#shown").textContent;
        """,
        tmp_path,
    )
    assert results["found"] == ["0099.jpg", *(f"099{n}.jpg" for n in range(10))]
    assert (results["first"], results["at"]) == ("0999.jpg", "0949.jpg")
    assert results["decoded"][0] == 240
