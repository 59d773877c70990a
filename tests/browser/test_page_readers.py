"""The page for everybody: by keyboard, by screen reader, on a phone, on paper, in English and Chinese."""

from __future__ import annotations

import re
from http import HTTPStatus
from urllib.parse import unquote

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from serving.web.languages import language
from tests.browser import chromium
from tests.browser.axe import complaints
from tests.browser.visits import DESKTOP, PHONE, Visit, visiting
from tests.service.process import Running

pytestmark = chromium.NEEDED


@pytest.mark.parametrize("code", ["en", "zh"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing(browser: Browser, service: Running, size: tuple[int, int], code: str) -> None:
    for visit in visiting(browser, service.url, size):
        page = visit.open(f"/?lang={code}")
        assert complaints(page) == []
        visit.example(f"/?lang={code}")
        for one in page.locator("details").all():
            one.evaluate("one => { one.open = true; }")
        assert complaints(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        visit.field("/patient/age_years").fill("400")
        page.click("#submit")
        expect(page.locator("#faults")).to_be_visible()
        page.evaluate("document.getElementById('access').hidden = false")  # the key is asked for in another test
        assert complaints(page) == []
        # The browser itself reports the question that was refused, and nothing else.
        refused = f"Failed to load resource: the server responded with a status of 422 ({HTTPStatus(422).phrase})"
        assert visit.complaints == [refused]


@pytest.mark.parametrize(
    ("code", "hint", "fault"),
    [("en", "50 and older", "50 years and older only"), ("zh", "50 岁及以上", "模型只适用于 50 岁及以上的患者")],
)
def test_the_age_that_is_asked_for_is_the_age_that_is_answered(visit: Visit, code: str, hint: str, fault: str) -> None:
    page = visit.example(f"/?lang={code}")
    expect(visit.field("/patient/age_years-limits")).to_have_text(hint)
    expect(visit.field("/patient/bmi_kg_m2-limits")).to_have_text(re.compile(r"^\d+ (to|至) \d+$"))
    visit.field("/patient/age_years").fill("49")
    page.click("#submit")
    expect(visit.field("/patient/age_years-fault")).to_contain_text(fault)
    visit.field("/patient/age_years").fill("50")
    page.click("#submit")
    expect(page.locator("#faults")).to_be_hidden()
    expect(page.locator("#stale")).to_be_hidden()


def test_the_page_of_the_api_can_be_read_by_everybody(on_phone: Visit) -> None:
    on_phone.page.goto(f"{on_phone.url}/docs")
    for one in on_phone.page.locator("details").all()[:5]:
        one.evaluate("one => { one.open = true; }")
    assert complaints(on_phone.page) == []
    assert on_phone.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_all_of_it_works_by_keyboard(visit: Visit) -> None:
    page = visit.open()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    while page.evaluate("document.activeElement.id") != "example":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#result")).to_be_focused()
    reached = set()
    for _ in range(200):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
        if page.evaluate("document.activeElement === document.body"):
            break
    wanted = {f"plan-{name}" for name in ("planned_viscosity", "planned_volume_ml", "procedure")} | {"print"}
    assert wanted <= reached and "Nomogram: cement leakage" in reached


def test_the_language_is_that_of_the_address_the_browser_or_the_switch(browser: Browser, service: Running) -> None:
    for visit in visiting(browser, service.url, DESKTOP, locale="zh-CN"):
        assert visit.open("/").locator("html").get_attribute("lang") == "zh"
        assert visit.open("/?lang=xx").locator("html").get_attribute("lang") == "zh"
        page = visit.example("/?lang=en")
        assert page.locator("html").get_attribute("lang") == "en"
        visit.field("/patient/bmi_kg_m2").fill("31.5")  # typed, not asked yet
        page.select_option("#language", "zh")
        expect(page.locator("#submit")).to_have_text(language("zh")["ui"]["submit"])
        assert visit.field("/patient/bmi_kg_m2").input_value() == "31.5" and "lang=zh" in page.url
        expect(visit.card("L1").locator(".why li").first).to_contain_text("皮质骨折：是")
        page.locator("select[name=cement_product_id]").evaluate("one => one.remove()")  # names of products
        words = re.sub(r"cemrisk\S*|[0-9a-f]{12,}|Language|English", "", page.locator("body").inner_text())
        latin = set(re.findall(r"[A-Za-z]{4,}", words)) - {"Genant", "Charlson", "JSON"}
        assert latin == set() and visit.complaints == []


def test_faults_are_told_in_chinese(visit: Visit) -> None:
    page = visit.open("/?lang=zh")
    visit.field("/patient/age_years").fill("400")
    page.click("#submit")
    expect(visit.field("/patient/age_years-fault")).to_have_text("可能的范围为 18 至 110 岁")
    expect(visit.field("/vertebrae/0/level-fault")).to_have_text(language("zh")["faults"]["required"])


@pytest.mark.parametrize("code", ["en", "zh"])
def test_it_prints_on_one_page(visit: Visit, code: str) -> None:
    page = visit.example(f"/?lang={code}")
    assert _pages(page) == 1
    page.click("#add")
    visit.field("/vertebrae/1/level").select_option("T12")
    page.click("#submit")
    expect(visit.card("T12")).to_be_visible()
    assert _pages(page) == 1
    page.emulate_media(media="print")
    expect(page.locator("#asking")).to_be_hidden()
    expect(page.locator(".asked")).to_contain_text("26 mm")
    expect(page.locator("#notice")).to_be_visible()


def _pages(page: Page) -> int:
    return len(re.findall(rb"/Type /Page\b", page.pdf(prefer_css_page_size=True)))


def _drawn(page: Page, outcome: str) -> list[str]:
    """Every text of a nomogram as the page shows it."""
    one = page.locator("#nomograms details", has_text=language("zh")["ui"][f"nomogram.{outcome}"]).first
    one.locator("summary").click()
    expect(one.locator("img")).to_be_visible()
    assert one.locator("img").evaluate("one => one.decode().then(() => one.naturalWidth)") > 500
    picture = unquote(str(one.locator("img").get_attribute("src")).partition(",")[2])
    return [text for text in re.findall(r">([^<>]+)</text>", picture) if text.strip()]


@pytest.mark.parametrize("outcome", ["leakage", "refracture-postop"])
def test_the_nomogram_speaks_chinese(visit: Visit, service: Running, outcome: str) -> None:
    texts = _drawn(visit.open("/?lang=zh"), outcome)
    words = [text for text in texts if not text.startswith("Model ")]  # the digest of the model
    left = {word for text in words for word in re.findall(r"[A-Za-z]{3,}", text)}
    assert left - {"Cox", "Genant", "Charlson", "DXA", "PVP", "PKP"} == set()
    zh, asked = language("zh"), f"{service.url}/v1/nomogram/{outcome}"
    axes = httpx.get(asked, headers={"accept": "application/json"}).json()["axes"]
    for axis in axes:
        assert any(text.startswith(zh["variables"][axis["column"]]) for text in texts)
    assert zh["ui"]["notice.synthetic"] in " ".join(texts)
    numbers = {tick["label"] for axis in axes for line in axis["lines"] for tick in line}
    assert {text for text in texts if re.fullmatch(r"[\d.]+", text)} & numbers  # the ticks are as they were
