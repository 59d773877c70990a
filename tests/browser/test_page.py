"""The page in a real browser, asking a real service: what a surgeon sees is what the service answered."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, expect

from models.release import write_release
from serving import keys
from serving.policy import Role
from tests.browser import chromium
from tests.browser.axe import complaints
from tests.browser.visits import DESKTOP, EXAMPLE, YEAR, Visit, ask, headline, percent, visiting
from tests.service.process import Running, running

pytestmark = chromium.NEEDED


def test_a_new_user_fills_in_the_example_and_reads_the_answer(visit: Visit, service: Running) -> None:
    page, answered = visit.example(), ask(service, EXAMPLE)
    leak, fracture = answered["leakage"][0], answered["refracture"]
    own = [fracture[name][YEAR] for name in ("risk", "interval", "average")]
    assert visit.card("L1").locator(".big").text_content() == headline(leak["risk"], leak["interval"], leak["average"])
    assert visit.card("refracture").locator(".big").text_content() == headline(*own)
    for code, risk in leak["routes"].items():
        row = visit.card("L1").locator(".rows").first.locator("li", has_text=re.compile(f"^{code} "))
        expect(row).to_contain_text(percent(risk))
    cells = page.locator('[data-card="refracture"] .scroll').first.locator("td").all_text_contents()
    for cause in ("same", "adjacent", "remote"):
        assert all(percent(risk) in cells for risk in fracture["causes"][cause])
    assert page.locator("#notice").text_content() == answered["notice"]
    assert visit.questions == [EXAMPLE]  # what is unknown is left out
    assert page.locator("#result").evaluate("one => one === document.activeElement")
    assert visit.complaints == []


def test_hundred_patients_are_drawn_and_told(visit: Visit, service: Running) -> None:
    visit.example()
    answered = ask(service, EXAMPLE)
    leaks = round(100 * answered["leakage"][0]["risk"])
    drawn = visit.card("L1").locator(".hundreds svg").first
    assert drawn.locator(".figure").count() == 100 and drawn.locator(".figure.event").count() == leaks
    assert drawn.get_attribute("aria-label") == f"of 100, about {leaks} have a leak and {100 - leaks} do not."
    risk, death = (answered["refracture"][name][YEAR] for name in ("risk", "death"))
    drawn = visit.card("refracture").locator(".hundreds svg").first
    assert drawn.locator(".figure.event").count() == round(100 * risk)
    assert drawn.locator(".figure.death").count() == round(100 * death) > 0
    curve = visit.card("refracture").locator(".curve svg").get_attribute("aria-label")
    assert all(percent(found) in curve for found in answered["refracture"]["risk"] + answered["refracture"]["death"])


def test_contributions_and_the_unknown_are_those_of_the_answer(visit: Visit, service: Running) -> None:
    visit.example()
    answered = ask(service, EXAMPLE)
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
        assert any(f"{percent(entry['lowest_risk'])} to {percent(entry['highest_risk'])}" in text for text in shown)


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
    listed = page.locator("#faults li a").all_text_contents()
    assert listed == ["Age", "Sex", "Level", "OF classification"]  # as they stand in the form
    page.locator("#faults a", has_text="Sex").click()
    expect(visit.field("/patient/sex")).to_be_focused()
    page.click("#example")
    expect(visit.card("L1")).to_be_visible()
    expect(page.locator("#faults")).to_be_hidden()
    assert marked.count() == 0


TYPED = {"/patient/age_years": "73,5", "/patient/t_score": "-2,5", "/vertebrae/0/planned_volume_ml": "4,5"}


def type_in(visit: Visit, keys: dict[str, str]) -> list[str]:
    """What stands in the fields after their keys were pressed one by one."""
    for pointer, text in keys.items():
        visit.field(pointer).fill("")
        visit.field(pointer).press_sequentially(text)
    return [visit.field(pointer).input_value() for pointer in keys]


def test_a_decimal_comma_is_a_point(visit: Visit) -> None:
    page = visit.example()
    assert type_in(visit, TYPED) == ["73.5", "-2.5", "4.5"]
    assert type_in(visit, {name: text.replace(",", ".") for name, text in TYPED.items()}) == ["73.5", "-2.5", "4.5"]
    page.click("#submit")
    expect(page.locator("#stale")).to_be_hidden()
    asked = visit.questions[-1]
    assert (asked["patient"]["age_years"], asked["patient"]["t_score"]) == (73.5, -2.5)
    assert asked["vertebrae"][0]["planned_volume_ml"] == 4.5
    volume = visit.field("/vertebrae/0/planned_volume_ml")
    volume.fill("")
    volume.press("4")
    page.keyboard.insert_text("，")  # as an input method puts it in
    volume.press("6")
    assert volume.input_value() == "4.6"
    volume.press("Control+z")
    assert volume.input_value() != "4.6"  # what was put in can be undone
    for text, taken in (("4,5", "4.5"), ("5.5", "5.5"), ("1.234,5", ""), ("4,5,6", "")):
        assert pasted(visit, "/vertebrae/0/planned_volume_ml", text) == taken
    assert visit.complaints == []


def pasted(visit: Visit, pointer: str, text: str) -> str:
    """What stands in an empty field after text was copied elsewhere and pasted with the keys of the clipboard."""
    page = visit.page
    page.evaluate(
        "text => document.body.append(Object.assign(document.createElement('textarea'), {value: text}))", text
    )
    page.locator("textarea").press("Control+a")
    page.locator("textarea").press("Control+c")
    page.locator("textarea").evaluate("one => one.remove()")
    visit.field(pointer).fill("")
    visit.field(pointer).press("Control+v")
    return str(visit.field(pointer).input_value())


def test_where_the_browser_takes_a_comma_it_stays_so(browser: Browser, service: Running) -> None:
    """A field that follows the language of its page is what a browser set to that language has everywhere."""
    flags = [*chromium.FLAGS, "--enable-blink-features=LangAttributeAwareFormControlUI"]
    german = browser.browser_type.launch(executable_path=chromium.BROWSER, args=flags)
    for visit in visiting(german, service.url, DESKTOP):
        page = visit.example()
        page.evaluate("""() => { document.documentElement.lang = "de"; document.body.append(Object.assign(
            document.createElement("input"), {type: "number", step: "any", id: "bare"})); }""")
        page.locator("#bare").press_sequentially("4,5")
        assert page.locator("#bare").input_value() == "4.5"  # without help of the page
        assert type_in(visit, TYPED) == ["73.5", "-2.5", "4.5"]
        assert pasted(visit, "/vertebrae/0/planned_volume_ml", "4,5") == "4.5"
    german.close()


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
    risk = ask(service, asked)["refracture"]["risk"][YEAR]
    expect(visit.card("refracture").locator(".big strong")).to_have_text(percent(risk))


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
    page.click("#submit")  # far below the beginning of the answer, which comes into view
    expect(visit.card("T12")).to_be_visible()
    expect(stale).to_be_hidden()
    expect(page.locator("#plan-effects")).to_be_in_viewport()


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
        for visit in visiting(browser, bare.url, DESKTOP):
            page = visit.open()
            page.click("#example")
            expect(visit.card("L1")).to_be_visible()
            heads = visit.card("L1").locator("h4").all_text_contents()
            assert "By route" not in heads and "What raises and what lowers this risk" in heads
            assert visit.card("refracture").count() == 0 and visit.complaints == []
            expect(visit.card("warnings")).to_contain_text("routes of enough leaks")
