"""The page in a real browser, asking a real service: what a surgeon sees is what the service answered."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from models.release import write_release
from serving import keys
from serving.policy import Role
from serving.web import asset
from serving.web.languages import language
from tests.browser import chromium
from tests.browser.axe import complaints
from tests.service.process import Running, running
from tests.service.released import released_home

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium.BROWSER is None, reason="Chromium is not installed (apt-get install chromium)"),
]
DESKTOP, PHONE = (1360, 900), (360, 780)
EXAMPLE: dict[str, Any] = json.loads(asset("example.json"))
YEAR = 1  # position of 12 months, the horizon that is explained


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return released_home(tmp_path_factory.mktemp("released"))


@pytest.fixture(scope="module")
def service(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(home, tmp_path_factory.mktemp("service")) as found:
        found.wait_ready()
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.launched() as found:
        yield found


class Visit:
    """One visit of the page: ``page``, what it asked for in ``requests``, what went wrong in ``complaints``."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.page: Page = context.new_page()
        self.url = url
        self.requests: list[str] = []
        self.questions: list[Any] = []
        self.complaints: list[str] = []
        self.page.on("request", self._note)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, request: Any) -> None:
        self.requests.append(request.url)
        if request.url.endswith("/v1/risk"):
            self.questions.append(request.post_data_json)

    def open(self, address: str = "/?lang=en") -> Page:
        self.page.goto(self.url + address)
        expect(self.page.locator("#fields fieldset").first).to_be_visible()
        return self.page

    def example(self, address: str = "/?lang=en") -> Page:
        """The page after a click on the example's button."""
        self.open(address)
        self.page.click("#example")
        expect(self.card("refracture")).to_be_visible()
        return self.page

    def card(self, name: str) -> Any:
        return self.page.locator(f'[data-card="{name}"]')

    def field(self, pointer: str) -> Any:
        return self.page.locator(f'[id="{pointer}"]')


@pytest.fixture
def visit(browser: Browser, service: Running) -> Iterator[Visit]:
    yield from _visit(browser, service.url, DESKTOP)


@pytest.fixture
def on_phone(browser: Browser, service: Running) -> Iterator[Visit]:
    yield from _visit(browser, service.url, PHONE)


def _visit(browser: Browser, url: str, size: tuple[int, int], **options: Any) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
    context.set_default_timeout(10_000)
    yield Visit(context, url)
    context.close()


def _ask(service: Running, question: Any) -> dict[str, Any]:
    response = httpx.post(f"{service.url}/v1/risk", json=question)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def _percent(risk: float) -> str:
    return f"{100 * risk:.{1 if risk < 0.0995 else 0}f}%"


def _headline(risk: float, interval: list[float], average: float) -> str:
    low, high = map(_percent, interval)
    return f"{_percent(risk)}95% interval {low} to {high}; average patient {_percent(average)}"


def test_a_new_user_fills_in_the_example_and_reads_the_answer(visit: Visit, service: Running) -> None:
    page, answered = visit.example(), _ask(service, EXAMPLE)
    leak, fracture = answered["leakage"][0], answered["refracture"]
    own = [fracture[name][YEAR] for name in ("risk", "interval", "average")]
    assert visit.card("L1").locator(".big").text_content() == _headline(leak["risk"], leak["interval"], leak["average"])
    assert visit.card("refracture").locator(".big").text_content() == _headline(*own)
    for code, risk in leak["routes"].items():
        row = visit.card("L1").locator(".rows").first.locator("li", has_text=re.compile(f"^{code} "))
        expect(row).to_contain_text(_percent(risk))
    cells = page.locator('[data-card="refracture"] .scroll').first.locator("td").all_text_contents()
    for cause in ("same", "adjacent", "remote"):
        assert all(_percent(risk) in cells for risk in fracture["causes"][cause])
    assert page.locator("#notice").text_content() == answered["notice"]
    assert visit.questions == [EXAMPLE]  # what is unknown is left out
    assert page.locator("#result").evaluate("one => one === document.activeElement")
    assert visit.complaints == []


def test_hundred_patients_are_drawn_and_told(visit: Visit, service: Running) -> None:
    visit.example()
    answered = _ask(service, EXAMPLE)
    leaks = round(100 * answered["leakage"][0]["risk"])
    drawn = visit.card("L1").locator(".hundreds svg").first
    assert drawn.locator(".figure").count() == 100 and drawn.locator(".figure.event").count() == leaks
    assert drawn.get_attribute("aria-label") == f"of 100, about {leaks} have a leak and {100 - leaks} do not."
    risk, death = (answered["refracture"][name][YEAR] for name in ("risk", "death"))
    drawn = visit.card("refracture").locator(".hundreds svg").first
    assert drawn.locator(".figure.event").count() == round(100 * risk)
    assert drawn.locator(".figure.death").count() == round(100 * death) > 0
    curve = visit.card("refracture").locator(".curve svg").get_attribute("aria-label")
    assert all(_percent(found) in curve for found in answered["refracture"]["risk"] + answered["refracture"]["death"])


def test_contributions_and_the_unknown_are_those_of_the_answer(visit: Visit, service: Running) -> None:
    visit.example()
    answered = _ask(service, EXAMPLE)
    entries = answered["leakage"][0]["explanation"]["contributions"]
    rows = visit.card("L1").locator(".why li")
    assert rows.count() == len(entries)
    for row, entry in zip(rows.all(), entries, strict=True):
        said, effect = entry["text"].split(";")[0], f"{abs(entry['contribution']):.2f}"
        assert said in (row.text_content() or "") and effect in (row.text_content() or "")
        sign = "▲" if entry["contribution"] > 0 else "▼"
        assert abs(entry["contribution"]) < 0.01 or sign in (row.text_content() or "")
    missing = answered["missing"]
    shown = visit.card("missing").locator(".spans li").all_text_contents()
    assert len(shown) == len(missing) > 0
    for entry in missing:
        assert any(f"{_percent(entry['lowest_risk'])} to {_percent(entry['highest_risk'])}" in text for text in shown)


def test_the_page_asks_nobody_else_and_stores_nothing(visit: Visit, service: Running) -> None:
    page = visit.example()
    for one in page.locator("#nomograms details").all():
        one.locator("summary").click()
        picture = one.locator("img")
        expect(picture).to_be_visible()
        assert picture.evaluate("one => one.decode().then(() => one.naturalWidth)") > 500
    home = urlsplit(service.url).netloc
    assert {urlsplit(url).netloc for url in visit.requests if not url.startswith("data:")} == {home}
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
    assert visit.complaints == []
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: '1'}))")
    assert "Content Security Policy" in " ".join(visit.complaints)  # the policy is in force, and complaints are heard


@pytest.mark.parametrize("code", ["en", "zh"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing(browser: Browser, service: Running, size: tuple[int, int], code: str) -> None:
    for visit in _visit(browser, service.url, size):
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
        assert visit.complaints in ([], [visit.complaints[0]])  # the browser itself reports the 422


def test_the_page_of_the_api_can_be_read_by_everybody(on_phone: Visit) -> None:
    on_phone.page.goto(f"{on_phone.url}/docs")
    for one in on_phone.page.locator("details").all()[:5]:
        one.evaluate("one => { one.open = true; }")
    assert complaints(on_phone.page) == []
    assert on_phone.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_faults_stand_at_their_fields(visit: Visit) -> None:
    page = visit.open()
    visit.field("/patient/age_years").fill("400")
    visit.field("/vertebrae/0/of_type").select_option("OF4")
    page.click("#submit")
    expect(page.locator("#faults")).to_be_focused()
    marked = page.locator("[aria-invalid=true]")
    assert {one.get_attribute("name") for one in marked.all()} == {"age_years", "sex", "level", "of_type"}
    assert "18 to 110" in (visit.field("/patient/age_years-fault").text_content() or "")
    expect(visit.field("/vertebrae/0/of_type-fault")).to_contain_text("unstable fractures")
    page.locator("#faults a", has_text="Sex").click()
    expect(visit.field("/patient/sex")).to_be_focused()
    page.click("#example")
    expect(visit.card("L1")).to_be_visible()
    expect(page.locator("#faults")).to_be_hidden()
    assert marked.count() == 0


def test_faults_are_told_in_chinese(visit: Visit) -> None:
    page = visit.open("/?lang=zh")
    visit.field("/patient/age_years").fill("400")
    page.click("#submit")
    expect(visit.field("/patient/age_years-fault")).to_have_text("可能的范围为 18 至 110 岁")
    expect(visit.field("/vertebrae/0/level-fault")).to_have_text(language("zh")["faults"]["required"])


def test_the_answer_follows_the_plan_and_says_what_stands_behind_it(visit: Visit, service: Running) -> None:
    page = visit.example()
    slider = page.locator("#plan-planned_viscosity")
    evidence = page.locator("#plan-planned_viscosity-evidence")
    slider.focus()
    for key in ("ArrowLeft", "ArrowRight", "ArrowRight"):  # medium, low, medium, high
        page.keyboard.press(key)
    high = {**EXAMPLE, "vertebrae": [{**EXAMPLE["vertebrae"][0], "planned_viscosity": "high"}]}
    expect(visit.card("L1").locator(".big strong")).to_have_text(_percent(_ask(service, high)["leakage"][0]["risk"]))
    assert slider.get_attribute("aria-valuetext") == "high"
    assert visit.questions == [EXAMPLE, high]  # a slider on its way is not asked about
    expect(evidence).to_contain_text("direction: trials")
    page.locator("#plan-planned_volume_ml").fill("6")
    expect(page.locator("#plan-planned_volume_ml-evidence")).to_contain_text("association only")
    expect(page.locator("#plan-planned_volume_ml")).to_be_focused()  # an answer that follows takes no focus
    page.click("#plan-reset")
    was = _ask(service, EXAMPLE)["leakage"][0]["risk"]
    expect(visit.card("L1").locator(".big strong")).to_have_text(_percent(was))
    assert visit.field("/vertebrae/0/planned_viscosity").input_value() == "medium"


def test_stage_and_stated_viscosity_replace_each_other(visit: Visit, service: Running) -> None:
    page = visit.example()
    page.locator("#plan-planned_injection_stage").fill("3")
    own = {name: value for name, value in EXAMPLE["vertebrae"][0].items() if name != "planned_viscosity"}
    asked = {**EXAMPLE, "vertebrae": [{**own, "planned_injection_stage": "dough"}]}
    expect(visit.card("L1").locator(".big strong")).to_have_text(_percent(_ask(service, asked)["leakage"][0]["risk"]))
    expect(page.locator("#plan-planned_viscosity-now")).to_have_text("unknown")
    page.locator("#plan-anti_osteoporosis_plan").select_option("denosumab")
    expect(page.locator("#plan-anti_osteoporosis_plan-evidence")).to_contain_text("association only")
    page.locator("#plan-anti_osteoporosis_plan").select_option("zoledronate")
    expect(page.locator("#plan-anti_osteoporosis_plan-evidence")).to_contain_text("direction: trials")


def test_the_language_is_that_of_the_address_the_browser_or_the_switch(browser: Browser, service: Running) -> None:
    for visit in _visit(browser, service.url, DESKTOP, locale="zh-CN"):
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
        latin = set(re.findall(r"[A-Za-z]{4,}", words)) - {"Genant", "Charlson"}
        assert latin == set() and visit.complaints == []


def test_after_the_operation_only_the_fracture_is_answered(visit: Visit, service: Running) -> None:
    page = visit.open()
    page.click("#example")
    page.select_option("#moment", "postop")
    expect(visit.field("/vertebrae/0/planned_viscosity")).to_have_count(0)
    assert visit.field("/patient/age_years").input_value() == "73"
    visit.field("/vertebrae/0/cement_volume_ml").fill("4.2")
    page.locator('[id="/vertebrae/0/leak_routes"] input[value=D]').check()
    visit.field("/vertebrae/0/leak_modality").select_option("CT")
    page.click("#submit")
    expect(page.locator("#output", has_text="day 7")).to_be_visible()
    assert page.locator("[data-card=L1]").count() == 0 and page.locator("#plan-planned_volume_ml").count() == 0
    asked = visit.questions[-1]
    assert asked["moment"] == "postop" and asked["vertebrae"][0]["leak_routes"] == ["D"]
    risk = _ask(service, asked)["refracture"]["risk"][YEAR]
    expect(visit.card("refracture").locator(".big strong")).to_have_text(_percent(risk))


def test_an_answer_is_not_taken_for_that_to_another_question(visit: Visit) -> None:
    page, stale = visit.example(), visit.page.locator("#stale")
    expect(stale).to_be_hidden()
    page.locator("#plan-planned_volume_ml").fill("6")
    expect(page.locator("#plan-effects")).to_contain_text("+")
    expect(stale).to_be_hidden()  # the form still asks what was answered
    visit.field("/patient/age_years").fill("81")
    expect(stale).to_contain_text("The form has changed")
    visit.field("/patient/age_years").fill("73")
    expect(stale).to_be_hidden()
    page.click("#add")
    expect(stale).to_be_visible()
    visit.field("/vertebrae/1/level").select_option("T12")
    page.click("#submit")
    expect(visit.card("T12")).to_be_visible()
    expect(stale).to_be_hidden()


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


def test_a_key_is_asked_for_and_kept_in_the_tab_only(
    browser: Browser, home: Path, tmp_path: Path, on_phone: Visit
) -> None:
    locked = Path(shutil.copytree(home, tmp_path / "home"))
    _, text = keys.create(locked, "ward", [Role.ASK])
    with running(locked, tmp_path) as found:
        found.wait_ready()
        on_phone.url = found.url
        page = on_phone.open()
        expect(page.locator("#access")).to_be_visible()
        assert complaints(page) == []
        page.fill("#key", "cemrisk_0_wrong")
        page.click("#access button")
        expect(page.locator("#key-fault")).to_contain_text("not known")
        page.fill("#key", text)
        page.click("#access button")
        expect(page.locator("#notice")).to_be_visible()
        page.click("#example")
        expect(on_phone.card("L1")).to_be_visible()
        assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
        assert text not in page.content() and text not in page.url
        page.click("#forget")
        expect(page.locator("#access")).to_be_visible()
        assert page.evaluate("sessionStorage.length") == 0


def test_without_routes_there_is_no_chart_of_routes(browser: Browser, home: Path, tmp_path: Path) -> None:
    write_release(tmp_path, "leakage", "cox", {"cox": home / "models/leakage/cox"}, {"cox": "1"}, "training-1")
    with running(tmp_path, tmp_path) as bare:
        bare.wait_ready()
        for visit in _visit(browser, bare.url, DESKTOP):
            page = visit.open()
            page.click("#example")
            expect(visit.card("L1")).to_be_visible()
            heads = visit.card("L1").locator("h4").all_text_contents()
            assert "By route" not in heads and "What raises and what lowers this risk" in heads
            assert visit.card("refracture").count() == 0 and visit.complaints == []
            expect(visit.card("warnings")).to_contain_text("routes of enough leaks")
