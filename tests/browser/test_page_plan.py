"""Another plan on the page: the answer follows, and each change says how sure it is and what stands behind it."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser import chromium
from tests.browser.visits import EXAMPLE, YEAR, Visit, ask, percent
from tests.service.process import Running

pytestmark = chromium.NEEDED


def test_the_answer_follows_the_plan_and_says_what_stands_behind_it(visit: Visit, service: Running) -> None:
    page = visit.example()
    slider = page.locator("#plan-planned_viscosity")
    evidence = page.locator("#plan-planned_viscosity-evidence")
    slider.focus()
    for key in ("ArrowLeft", "ArrowRight", "ArrowRight"):  # medium, low, medium, high
        page.keyboard.press(key)
    high = {**EXAMPLE, "vertebrae": [{**EXAMPLE["vertebrae"][0], "planned_viscosity": "high"}]}
    expect(visit.card("L1").locator(".big strong")).to_have_text(percent(ask(service, high)["leakage"][0]["risk"]))
    assert slider.get_attribute("aria-valuetext") == "high"
    assert visit.questions == [EXAMPLE, high]  # a slider on its way is not asked about
    expect(evidence).to_contain_text("direction: trials")
    page.locator("#plan-planned_volume_ml").fill("6")
    expect(page.locator("#plan-planned_volume_ml-evidence")).to_contain_text("association only")
    expect(page.locator("#plan-planned_volume_ml")).to_be_focused()  # an answer that follows takes no focus
    expect(page.locator("#plan-shown")).to_be_visible()  # the numbers are not those of the form
    page.click("#plan-reset")
    was = ask(service, EXAMPLE)["leakage"][0]["risk"]
    expect(visit.card("L1").locator(".big strong")).to_have_text(percent(was))
    expect(page.locator("#plan-shown")).to_be_hidden()
    assert visit.field("/vertebrae/0/planned_viscosity").input_value() == "medium"


def test_stage_and_stated_viscosity_replace_each_other(visit: Visit, service: Running) -> None:
    page = visit.example()
    page.locator("#plan-planned_injection_stage").fill("3")
    own = {name: value for name, value in EXAMPLE["vertebrae"][0].items() if name != "planned_viscosity"}
    asked = {**EXAMPLE, "vertebrae": [{**own, "planned_injection_stage": "dough"}]}
    expect(visit.card("L1").locator(".big strong")).to_have_text(percent(ask(service, asked)["leakage"][0]["risk"]))
    expect(page.locator("#plan-planned_viscosity-now")).to_have_text("unknown")
    page.locator("#plan-anti_osteoporosis_plan").select_option("denosumab")
    expect(page.locator("#plan-anti_osteoporosis_plan-evidence")).to_contain_text("association only")
    page.locator("#plan-anti_osteoporosis_plan").select_option("zoledronate")
    expect(page.locator("#plan-anti_osteoporosis_plan-evidence")).to_contain_text("direction: trials")


def _points(change: float) -> str:
    return f"{'−' if change < 0 else '+'}{abs(100 * change):.1f}"


def test_a_change_of_plan_shows_the_interval_of_the_change_itself(visit: Visit, service: Running) -> None:
    page, answered = visit.example(), ask(service, EXAMPLE)
    leak, fracture = page.locator("#plan-effects tr").all()
    page.locator("#plan-procedure").select_option("PKP")
    [own] = [one for one in answered["leakage"][0]["what_if"] if one["variable"] == "procedure"]
    low, high = map(_points, own["difference_interval"])
    said = [
        percent(answered["leakage"][0]["risk"]),
        percent(own["risk"]),
        f"{_points(own['difference'])}{low} to {high}",
    ]
    expect(leak.locator("td")).to_have_text(said)
    [other] = [one for one in answered["refracture"]["what_if"] if one["variable"] == "procedure"]
    low, high = map(_points, other["difference_interval"][YEAR])
    expect(fracture.locator("td").last).to_have_text(f"{_points(other['difference'][YEAR])}{low} to {high}")
    page.locator("#plan-planned_volume_ml").fill("7")  # two changes at once: no answer holds the interval
    expect(leak.locator("td").last).to_contain_text("no interval")
    page.locator("#plan-procedure").select_option("PVP")
    page.locator("#plan-planned_volume_ml").fill("4.5")
    expect(leak.locator("td").last).to_have_text("·")
    page.locator("#plan-anti_osteoporosis_plan").select_option("zoledronate")
    expect(leak.locator("td").last).to_have_text("0.0")  # the drug is no variable of leakage
    expect(fracture.locator("td").last).to_contain_text(" to ")


def test_on_a_phone_the_effects_stay_in_sight_of_every_control(on_phone: Visit) -> None:
    page = on_phone.example()
    for name in ("planned_viscosity", "planned_volume_ml", "anti_osteoporosis_plan"):
        page.locator(f"#plan-{name}").focus()
        expect(page.locator(f"#plan-{name}")).to_be_in_viewport()
        expect(page.locator("#plan-effects")).to_be_in_viewport(ratio=1)
        table, control = (page.locator(place).bounding_box() for place in (".effects", f"#plan-{name}"))
        assert table and control and table["y"] + table["height"] <= control["y"]  # nor does it cover the control
