"""A page in a real browser: every control does what it says, nothing is executed that is not ours."""

import base64
import io
import re
import shutil

import pytest
from PIL import Image

from tests.gan.report.reports import HOSTILE, hostile_pairs, report, two_runs

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium to open a report in; `make browser`")


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright to drive chromium with")
    with playwright.sync_playwright() as driver:
        # Chromium refuses to be root in its sandbox.
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def written(workplace, pairs_folder, tmp_path_factory):
    """A report of two runs, one of them with a hostile name, on findings that are HTML."""
    place = tmp_path_factory.mktemp("report")
    data = ("--data.path", hostile_pairs(place, pairs_folder))
    done = report(place, *two_runs(workplace, place), *data, "--out", "page.html")
    assert done.returncode == 0, done.stderr
    return place / "page.html"


@pytest.fixture
def page(browser, written):
    """The open page; afterwards the console must be silent, and no connection tried."""
    page = browser.new_page(viewport={"width": 1300, "height": 850}, color_scheme="light")
    told, asked = [], []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("request", lambda request: asked.append(request.url[:30]))
    page.goto(written.as_uri())
    page.wait_for_selector(".panel canvas")
    yield page
    assert page.evaluate("window.broken") is None
    assert not told
    assert all(url.startswith(("file:", "data:")) for url in asked)
    page.close()


def picture(page, panel):
    """What a panel shows, as a data URI."""
    return page.evaluate("(place) => document.querySelectorAll('.panel canvas')[place].toDataURL()", panel)


def corner(uri):
    """The grey in the upper left corner of a picture."""
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("L").getpixel((0, 0))


def await_text(page, selector, text):
    """Wait until there is an element with this text."""
    page.locator(selector, has_text=text).first.wait_for()


def click(page, name):
    page.locator(".viewer .controls").get_by_role("button", name=name, exact=True).click()


def values(page):
    return page.locator(".viewer output").inner_text()


def headline(page):
    return page.locator(".headline b").inner_text()


def listed(page):
    return page.locator("#viewer-cases b").all_inner_texts()


def test_names_and_findings_stay_text(page):
    assert page.locator("h1").inner_text().split("\n")[-1] == "<img src=x onerror=window.broken=1>"
    assert HOSTILE in page.locator("#viewer-finding").inner_text()
    assert page.locator("img[src=x]").count() == 0
    assert page.locator("script").count() == 2


def test_light_and_dark(page):
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.click("#theme")
    dark = page.evaluate(ground)
    assert light != dark
    page.keyboard.press("d")
    assert page.evaluate(ground) == light
    page.emulate_media(color_scheme="dark")
    page.locator("html[data-theme=dark]").wait_for()
    assert page.evaluate(ground) == dark


def test_options_curves_and_samples(page):
    page.click("#options summary")
    whole = page.locator("#options tbody tr").count()
    page.check("#differing")
    assert page.locator("#options tbody th").all_inner_texts() == ["seed"]
    assert page.locator("#options tbody td").all_inner_texts() == ["0", "7"]
    page.uncheck("#differing")
    assert page.locator("#options tbody tr").count() == whole > 50
    assert page.locator(".u-legend").first.inner_text().count("train") == 2
    before = page.evaluate("charts.map(({ plot }) => plot.scales.y.distr)")
    page.check("#log")
    after = page.evaluate("charts.map(({ plot }) => plot.scales.y.distr)")
    assert set(before) == {1}
    assert 3 in after
    page.locator(".u-over").first.hover()
    assert page.locator(".u-legend .u-value").first.inner_text() != "--"
    last = page.locator("img.grid").first.get_attribute("src")
    page.focus("#epoch")
    page.keyboard.press("Home")
    assert page.locator("#epoch-told").inner_text() == "epoch 1"
    assert page.locator("img.grid").first.get_attribute("src") != last
    page.click("nav a[href='#cases']")
    assert page.locator("#cases").is_visible()


def test_evaluation_stands_in_tables_and_figures(page):
    section = page.locator("#evaluation")
    assert "was not evaluated yet" in section.inner_text()
    assert "average precision (AP)" in section.locator("table").first.inner_text()
    widths = "Array.from(document.querySelectorAll('.figures img'), (image) => image.naturalWidth)"
    assert min(page.evaluate(widths)) > 100


def test_cases_are_sorted_filtered_and_walked_through(page):
    assert sorted(listed(page)) == ["1", "2", "3", "4"]
    by_error = listed(page)
    page.select_option("#viewer-sort", "number")
    assert listed(page) == ["1", "2", "3", "4"]
    page.select_option("#viewer-sort", "apart")
    page.select_option("#viewer-sort", "mae 0")
    assert listed(page) == by_error
    page.select_option("#viewer-finding", "is nodule")
    assert listed(page) == ["1"]
    page.select_option("#viewer-finding", "none")
    assert listed(page) == []
    page.select_option("#viewer-finding", "all")
    page.select_option("#viewer-sort", "number")
    click(page, "Next →")
    await_text(page, ".headline b", "case 2 ·")
    click(page, "← Previous")
    await_text(page, ".headline b", "case 1 ·")
    page.focus("#viewer-stage")
    for key, number in (("ArrowRight", 2), ("ArrowDown", 3), ("ArrowLeft", 2)):
        page.keyboard.press(key)
        await_text(page, ".headline b", f"case {number} ·")
    page.locator("#viewer-cases button").nth(3).click()
    await_text(page, ".headline b", "case 4 ·")


def test_cases_without_targets_are_sorted_by_what_is_marked(browser, workplace, pairs_folder, tmp_path):
    path = hostile_pairs(tmp_path, pairs_folder)
    path.write_text(re.sub(r"[^,]*/target/[^,]*", "", path.read_text()))
    done = report(tmp_path, workplace / "runs/adversarial", "--data.path", path, "--out", "page.html")
    assert done.returncode == 0, done.stderr
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_selector(".panel canvas")
    assert page.locator(".panel button").all_inner_texts() == ["baseline", "followup", "map"]
    choices = page.locator("#viewer-sort option").all_inner_texts()
    assert choices == ["area marked, worst first", "number"]
    page.close()


def test_baseline_and_followup_change_places(page):
    captions = page.locator(".panel button")
    assert captions.all_inner_texts()[:2] == ["baseline", "followup"]
    assert captions.all_inner_texts()[-1] == "target"
    baseline, followup = picture(page, 0), picture(page, 1)
    assert baseline != followup
    page.focus("#viewer-stage")
    page.keyboard.press("Space")
    assert picture(page, 1) == baseline
    assert captions.all_inner_texts()[1] == "baseline"
    click(page, "Swap")
    assert picture(page, 1) == followup
    page.hover("#viewer-stage")
    page.keyboard.press("f")
    for name in ("baseline", "followup", "baseline"):
        await_text(page, ".panel:nth-child(2) button", name)
    click(page, "Flicker")
    assert picture(page, 1) == followup


def test_maps_lie_over_the_followup(page):
    page.focus("#viewer-stage")
    followup, target = picture(page, 1), picture(page, 4)
    assert followup != target
    page.keyboard.press("m")
    assert picture(page, 4) == followup
    click(page, "Map")
    assert picture(page, 4) == target
    page.fill("#viewer-opacity", "0")
    assert picture(page, 4) == followup
    page.focus("#viewer-stage")
    for _ in range(7):
        page.keyboard.press("]")
    assert page.input_value("#viewer-opacity") == "70"
    assert picture(page, 4) == target
    page.keyboard.press("[")
    assert page.input_value("#viewer-opacity") == "60"


def test_window_level_zoom_and_place_are_shared(page):
    start, first = values(page), picture(page, 0)
    assert start == "window 100 %, level 50 %, zoom 1.0"
    page.locator("#viewer-stage").scroll_into_view_if_needed()
    box = page.locator(".panel canvas").first.bounding_box()
    x, y = box["x"] + box["width"] / 3, box["y"] + box["height"] / 3
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - box["width"] / 2, y + box["height"] / 10)
    page.mouse.up()
    assert values(page) == "window 50 %, level 60 %, zoom 1.0"
    assert picture(page, 0) != first
    click(page, "Reset")  # a narrow window may leave nothing to see of what is zoomed
    page.mouse.move(x, y)
    page.mouse.wheel(0, -300)
    await_text(page, ".viewer output", "zoom 2.0")
    zoomed = [picture(page, panel) for panel in (0, 1)]
    page.keyboard.down("Shift")
    page.mouse.down()
    page.mouse.move(x + 40, y + 20)
    page.mouse.up()
    page.keyboard.up("Shift")
    assert values(page) == "window 100 %, level 50 %, zoom 2.0"
    assert all(picture(page, panel) != zoomed[panel] for panel in (0, 1))
    click(page, "Reset")
    assert values(page) == start
    assert picture(page, 0) == first


def test_the_keyboard_does_all_of_it(page):
    start, first = values(page), picture(page, 0)
    page.focus("#viewer-stage")
    for keys, told in (
        ("ww", "window 83 %, level 50 %, zoom 1.0"),
        ("WW", start),
        ("LL", "window 100 %, level 54 %, zoom 1.0"),
        ("lll", "window 100 %, level 48 %, zoom 1.0"),
        ("+++", "window 100 %, level 48 %, zoom 2.0"),
        ("-", "window 100 %, level 48 %, zoom 1.6"),
    ):
        for key in keys:
            page.keyboard.press(key)
        assert values(page) == told
    before = picture(page, 0)
    page.keyboard.press("Shift+ArrowRight")
    assert picture(page, 0) != before
    page.keyboard.press("0")
    assert values(page) == start
    page.keyboard.press("i")
    assert corner(picture(page, 0)) == 255 - corner(first)
    click(page, "Invert")
    assert picture(page, 0) == first
    page.focus("#viewer-stage")
    page.keyboard.press("e")
    assert page.locator(".panel:visible").count() == 1
    page.locator(".panel:visible canvas").dblclick()
    assert page.locator(".panel:visible").count() == 5
    page.keyboard.press("v")
    assert page.locator(".viewer.filled").count() == 1
    page.keyboard.press("Escape")
    click(page, "Fill window")
    click(page, "Fill window")
    assert page.locator(".viewer.filled").count() == 0
