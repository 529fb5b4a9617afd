"""The page at `/` in a real browser: what a visitor sees, does and is told."""

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path

import httpx
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.browsing import REFUSED, visiting
from tests.media import b64, picture, sound
from tests.serving import wait_until

Point = tuple[float, float]


def arc(x: float, y: float, width: float, height: float, start: int, end: int) -> list[Point]:
    """Points along an ellipse, in shares of the drawing area; angles in degrees, clockwise from the right."""
    angles = [math.radians(start + (end - start) * step / 24) for step in range(25)]
    return [(x + width * math.cos(angle), y + height * math.sin(angle)) for angle in angles]


DRAWN = {
    "1": [[(0.38, 0.3), (0.52, 0.15), (0.52, 0.85)]],
    "3": [arc(0.47, 0.32, 0.2, 0.17, 200, 450) + arc(0.47, 0.67, 0.22, 0.18, -90, 160)],
    "7": [[(0.28, 0.15), (0.72, 0.15), (0.45, 0.88)]],
    "8": [arc(0.5, 0.32, 0.17, 0.17, 90, 450) + arc(0.5, 0.68, 0.2, 0.19, -90, 270)],
}


DROP = """(place, b64) => {
    const bytes = Uint8Array.from(atob(b64), (one) => one.charCodeAt(0));
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([bytes], "dropped.png", { type: "image/png" }));
    place.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
}"""


def draw(page: Page, strokes: Sequence[Sequence[Point]]) -> None:
    box = page.locator(".pad").bounding_box()
    assert box
    for stroke in strokes:
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point)
        page.mouse.up()


def model(page: Page, title: str) -> Locator:
    """The model's line in the list."""
    return page.get_by_role("listitem").filter(has=page.get_by_role("heading", name=title))


def predict(page: Page) -> Locator:
    page.get_by_role("button", name="Predict").click()
    return page.get_by_role("status", name="Answer")


def assert_usable_by_everyone(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, f"{page.url}: {found.generate_report()}"


def test_the_list_tells_every_models_state_versions_and_provider_and_why_one_does_not_serve(
    browser: Browser, address: str, models: Path
) -> None:
    ready = len(list(models.iterdir())) - 2
    with visiting(browser, address) as page:
        expect(page).to_have_title("Headrace")
        expect(page.get_by_text(f"{ready} models ready to answer; 2 not available.")).to_be_visible()
        for told in ("Ready", "v1", "CPU", "image classification"):
            expect(model(page, "Handwritten digits").get_by_text(told, exact=True)).to_be_visible()
        expect(model(page, "Leaves")).to_contain_text("v1 · stable")
        expect(model(page, "bare")).to_contain_text("v2")
        expect(model(page, "damaged")).to_contain_text("Not available")
        expect(model(page, "damaged").locator(".reason")).to_contain_text("model.onnx: ")
        expect(model(page, "nothing-in-it").locator(".reason")).to_contain_text("no version folder")
        page.get_by_label("Filter").fill("handwritten")
        expect(page.locator(".model")).to_have_count(1)
        page.get_by_label("Filter").fill("no such thing")
        expect(page.get_by_text("No model matches")).to_be_visible()


def test_a_card_tells_purpose_limits_figures_beside_the_baseline_parity_data_and_curves(
    browser: Browser, address: str
) -> None:
    with visiting(browser, f"{address}/#/models/leaf") as page:
        expect(page).to_have_title("Leaves · Headrace")
        main = page.get_by_role("main")
        for told in (
            "Doubles three numbers.",
            "Not for leaves.",
            "It beats guessing.",
            "PyTorch and onnxruntime differ by 0 at most over 1 row",
            "made up",
            "Epoch 3 was kept: loss 0.52 on the validation rows, 0.4 on the training rows, accuracy 0.82.",
            "epoch 3 had the lowest loss",
        ):
            expect(main).to_contain_text(told)
        expect(page.get_by_role("row", name="Accuracy")).to_contain_text(re.compile(r"0\.5 \(better\)\s*0\.3"))
        expect(page.get_by_role("img", name="training loss and validation loss, by epoch")).to_be_visible()
        expect(page.get_by_role("img", name="accuracy on validation, by epoch")).to_be_visible()
        page.get_by_text("The curves as a table").click()
        expect(page.get_by_role("row", name="3 (kept)")).to_contain_text("0.52")


def test_numbers_are_predicted_from_the_form_as_the_api_predicts_them_and_go_on_as_a_slider_moves(
    browser: Browser, address: str, service: httpx.Client
) -> None:
    with visiting(browser, f"{address}/#/models/diabetes") as page:
        answer = predict(page)
        example = service.get("/v1/models/diabetes/metadata").json()["example"]
        predicted = service.post("/v1/models/diabetes:predict", json=example).json()["predictions"][0]["progression"]
        expect(answer).to_contain_text(f"{predicted:.5g}")
        expect(page.get_by_text("above 5 % of training rows")).to_be_visible()
        before = answer.inner_text()
        with page.expect_response(re.compile(":predict")):
            page.get_by_label("Body mass index, slider").press("ArrowRight")
        expect(page.get_by_label("Body mass index", exact=True)).to_have_value("25.4")
        expect(answer).not_to_have_text(before)
        page.get_by_role("button", name="Typical values").click()
        expect(page.get_by_label("Body mass index", exact=True)).to_have_value("25.6")


def test_thirty_numbers_are_grouped_by_what_their_names_share(browser: Browser, address: str) -> None:
    with visiting(browser, f"{address}/#/models/breast-cancer") as page:
        groups = page.locator(".group summary")
        expect(groups).to_have_text([re.compile("Mean *10 values"), re.compile("Error"), re.compile("Worst")])
        expect(page.get_by_label("Mean radius", exact=True)).to_be_visible()
        expect(page.get_by_label("Worst radius", exact=True)).to_be_hidden()
        expect(predict(page)).to_contain_text("malignant")


def test_a_rare_class_is_told_with_its_threshold_and_its_figures_by_group(browser: Browser, address: str) -> None:
    with visiting(browser, f"{address}/#/models/loan-risk") as page:
        groups = page.locator(".group summary")
        expect(groups).to_have_text([*map(re.compile, ("Loan", "Applicant", "Utilisation", "Late", "Inq", "Instal"))])
        page.get_by_label("Loan term").select_option("36 months")
        groups.nth(1).click()
        page.get_by_label("not known").check()
        page.get_by_label("Applicant income check").select_option("not checked")
        expect(predict(page)).to_contain_text("good")
        expect(page.get_by_role("status", name="Answer")).to_contain_text("“bad” is answered from 16.1 % on.")
        table = page.get_by_role("group", name="Figures by group")
        expect(table.get_by_role("row", name="Term: 60 months")).to_contain_text("599")
        expect(table.get_by_role("row")).to_have_count(1 + 9)


@pytest.mark.parametrize("digit", DRAWN)
def test_a_digit_that_is_drawn_is_the_digit_that_is_predicted(browser: Browser, address: str, digit: str) -> None:
    with visiting(browser, f"{address}/#/models/digits") as page:
        page.get_by_role("button", name="Clear").click()
        draw(page, DRAWN[digit])
        expect(predict(page).locator(".said")).to_contain_text(digit)


def test_a_drawing_can_be_undone_cleared_and_replaced_by_the_example_without_a_pointer(
    browser: Browser, address: str
) -> None:
    with visiting(browser, f"{address}/#/models/digits") as page:
        seen = page.locator(".seen")
        example = seen.get_attribute("aria-label")
        draw(page, DRAWN["1"])
        expect(seen).not_to_have_attribute("aria-label", example or "")
        page.get_by_role("button", name="Undo").press("Enter")
        expect(seen).to_have_attribute("aria-label", "8 by 8 pixels, 0 of them inked")
        page.get_by_role("button", name="Use the example").press("Enter")
        expect(seen).to_have_attribute("aria-label", example or "")
        expect(predict(page).locator(".said")).to_contain_text("4")


def explained(page: Page) -> Locator:
    page.get_by_role("button", name="Explain").click()
    return page.get_by_role("region", name=re.compile("^Why"))


def test_numbers_are_explained_by_what_the_largest_add_and_all_of_them_in_a_table(
    browser: Browser, address: str, service: httpx.Client
) -> None:
    example = service.get("/v1/models/breast-cancer/metadata").json()["example"]
    [told] = service.post("/v1/models/breast-cancer:explain", json=example).json()["explanations"]
    shares = sorted(told["attributions"].values(), key=abs, reverse=True)
    texture = re.escape(f"{-100 * told['attributions']['mean_texture']:.1f}")
    with visiting(browser, f"{address}/#/models/breast-cancer") as page:
        why = explained(page)
        expect(why.get_by_role("heading")).to_have_text("Why malignant?")
        typical = f"{100 * told['base']:.1f}".removesuffix(".0")
        expect(why).to_contain_text(
            f"The probability of malignant is > 99.9 %. With typical values it would be {typical} %."
        )
        bars = why.get_by_role("list", name="What each part adds").get_by_role("listitem")
        expect(bars).to_have_count(11)
        expect(bars.first).to_have_text(re.compile(rf"Worst area 1956\s*{re.escape(f'+{100 * shares[0]:.1f}')}"))
        expect(bars.last).to_contain_text("20 others together")
        why.get_by_text("All values as a table").click()
        expect(why.get_by_role("row")).to_have_count(31)
        expect(why.get_by_role("row", name="Mean texture")).to_have_text(
            re.compile(rf"17.77\s*18.75\s*\u2212{texture}")
        )
        assert_usable_by_everyone(page)
        page.get_by_label("Mean radius", exact=True).fill("10")
        expect(why).to_contain_text("The values have changed since.")
        expect(explained(page)).not_to_contain_text("The values have changed since.")


def test_an_image_is_explained_over_the_picture(browser: Browser, address: str) -> None:
    with visiting(browser, f"{address}/#/models/digits") as page:
        why = explained(page)
        expect(why.get_by_role("heading")).to_have_text("Why 4?")
        heat = why.get_by_role("img", name=re.compile(r"8 by 8 cells; most for 4: row \d, column \d \(\+\d"))
        expect(heat.locator("rect")).to_have_count(64)
        expect(heat.locator("image")).to_have_attribute("href", re.compile("^data:image/png"))
        expect(heat.locator("text", has_text="+")).not_to_have_count(0)
        why.get_by_text("All cells as a table").click()
        expect(why.get_by_role("row")).to_have_count(9)
        assert_usable_by_everyone(page)


def test_words_and_sounds_are_explained_and_what_gives_no_number_is_not(browser: Browser, address: str) -> None:
    clip = sound(np.full(800, 0.5, np.float32), 8000)
    with visiting(browser, f"{address}/#/models/noted") as page:
        page.get_by_label("Remark").fill("so it is")
        why = explained(page)
        expect(why).to_contain_text("The said is 3. Without any words it would be 0.")
        expect(why.locator(".words")).to_have_text(re.compile(r"so\s+it\s+is"))
        why.get_by_text("All words as a table").click()
        expect(why.get_by_role("row", name="so")).to_contain_text("+1.00")
        page.goto(f"{address}/#/models/clip")
        page.get_by_label("Clip").set_input_files({"name": "a.wav", "mimeType": "audio/wav", "buffer": clip})
        bars = explained(page).get_by_role("list").get_by_role("listitem")
        expect(bars).to_have_count(20)
        expect(bars.nth(1)).to_have_text(re.compile(r"5 to 10 ms\s*\+0.025"))
        page.goto(f"{address}/#/models/reading")
        page.get_by_label("not known").check()
        page.get_by_role("button", name="Explain").click()
        expect(page.get_by_text("The model gives no finite number here")).to_be_visible()
        page.goto(f"{address}/#/models/remark")
        expect(page.get_by_role("button", name="Predict")).to_be_visible()
        expect(page.get_by_role("button", name="Explain")).to_have_count(0)


def test_what_cannot_be_explained_is_told_at_its_field(browser: Browser, address: str) -> None:
    with visiting(browser, f"{address}/#/models/leaf", allowed=REFUSED) as page:
        page.get_by_label("Length", exact=True).fill("-1")
        page.get_by_role("button", name="Explain").click()
        expect(page.get_by_role("alert")).to_contain_text("instances[0].length: -1, wanted 0 to 50 mm")
        expect(page.get_by_label("Length", exact=True)).to_have_attribute("aria-invalid", "true")


def test_a_series_is_typed_pasted_or_pulled_and_answered_with_a_band(browser: Browser, address: str) -> None:
    with visiting(browser, f"{address}/#/models/demand", allowed=REFUSED) as page:
        answer = predict(page)
        expect(
            answer.get_by_role("img", name=re.compile(r"low .*, lower .*, median .*, upper .*, high "))
        ).to_be_visible()
        expect(answer).to_contain_text("80 % of cases are foreseen between")
        field = page.get_by_label("Sales", exact=True)
        with page.expect_request(re.compile(":predict")) as asked:
            field.fill("10\n20\n30\n40\n50\n60\n70\n80\n90\n100\n110\n120")
        assert json.loads(asked.value.post_data or "")["instances"][0]["sales"] == [10 * n for n in range(1, 13)]
        chart = page.get_by_role("img", name="sales: 12 numbers from 10 to 120, the last 120")
        before = answer.inner_text()
        chart.scroll_into_view_if_needed()
        box = chart.bounding_box()
        assert box
        page.mouse.move(box["x"] + box["width"] - 10, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] - 10, box["y"] + 60)
        page.mouse.up()
        expect(field).to_have_value(re.compile(r"110, (\d\d?)$"))
        expect(answer).not_to_have_text(before)
        field.fill("1, 2, 3")
        expect(page.get_by_text("3 of 12 numbers")).to_be_visible()
        expect(page.locator("#field-sales-problem")).to_contain_text("3 elements, wanted 12")


def test_all_probabilities_are_drawn_where_the_answer_has_them(browser: Browser, address: str) -> None:
    shares = {str(digit): 0.91 if digit == 4 else 0.01 for digit in range(10)}
    said = {"predictions": [{"label": "4", "probability": 0.91, "probabilities": shares}]}
    with visiting(browser, f"{address}/#/models/digits") as page:
        page.route("**/*:predict", lambda route: route.fulfill(json=said))
        with page.expect_request(re.compile(":predict")) as asked:
            answer = predict(page)
        assert (asked.value.post_data_json or {})["parameters"] == {"probabilities": True}
        expect(answer.get_by_role("listitem")).to_have_count(10)
        expect(answer.locator(".best")).to_contain_text(re.compile(r"4\s*91 %"))


def test_a_choice_and_a_text_are_sent_as_such(browser: Browser, address: str) -> None:
    with visiting(browser, f"{address}/#/models/colour") as page:
        page.get_by_label("Colour").select_option("blue")
        expect(predict(page).locator(".said")).to_have_text("4")
        page.goto(f"{address}/#/models/remark")
        page.get_by_label("Remark").fill("it's “quoted”\nand broken")
        expect(predict(page).locator(".said")).to_have_text("it's “quoted” and broken")
        page.get_by_text("Send the same from a terminal").click()
        expect(page.get_by_label("curl", exact=True)).to_contain_text(f"{address}/v1/models/remark/versions/1:predict")
        expect(page.get_by_label("curl", exact=True)).to_contain_text("it'\\''s")


def test_the_request_can_be_copied(browser: Browser, address: str) -> None:
    allowed = ["clipboard-read", "clipboard-write"]
    with visiting(browser, f"{address}/#/models/quickstart", permissions=allowed) as page:
        page.get_by_text("Send the same from a terminal").click()
        page.get_by_role("button", name="Copy: JSON").click()
        expect(page.get_by_role("button", name="Copy: JSON")).to_have_text("Copied")
        copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
        assert copied == {"instances": [{"x": 1}], "parameters": {"probabilities": True}}


def test_a_picture_is_chosen_or_dropped_shown_and_sent(browser: Browser, address: str) -> None:
    grey = picture(np.full((8, 8, 3), 100, np.uint8))
    with visiting(browser, f"{address}/#/models/photo", allowed=REFUSED) as page:
        expect(page.get_by_alt_text("The picture that is sent")).to_have_js_property("naturalWidth", 8)
        chosen = page.get_by_label("photo: choose a picture")
        chosen.set_input_files({"name": "grey.png", "mimeType": "image/png", "buffer": grey})
        expect(page.get_by_alt_text("The picture that is sent")).to_have_attribute("src", re.compile("iVBOR"))
        said = predict(page).locator(".said")
        expect(said).to_have_text("100")
        page.locator(".drop").evaluate(DROP, b64(picture(np.full((8, 8, 3), 7, np.uint8)))["b64"])
        expect(said).to_have_text("7")
        chosen.set_input_files({"name": "no.png", "mimeType": "image/png", "buffer": b"%PDF-1.7"})
        expect(page.locator(".problem")).to_contain_text("not a PNG, JPEG or WebP image")


def test_a_picture_on_white_of_any_size_is_dropped_on_a_drawing_pad_and_answered(
    browser: Browser, address: str
) -> None:
    told = httpx.get(f"{address}/v1/models/mnist/metadata").json()
    digit = np.array(told["example"]["instances"][0]["image"], np.uint8)
    on_white = np.kron(255 - digit, np.ones((9, 9), np.uint8))
    with visiting(browser, f"{address}/#/models/mnist") as page:
        page.get_by_role("button", name="Clear").click()
        page.locator(".drop").evaluate(DROP, b64(picture(on_white))["b64"])
        expect(predict(page).locator(".said")).to_contain_text(re.compile(r"^\s*0"))
        expect(page.locator(".seen")).to_have_attribute("aria-label", re.compile("28 by 28 pixels, [5-9]\\d\\d"))


def test_a_sound_is_chosen_can_be_heard_and_is_sent(browser: Browser, address: str) -> None:
    clip = sound(np.full(800, 0.5, np.float32), 8000)
    with visiting(browser, f"{address}/#/models/clip") as page:
        page.get_by_label("Clip").set_input_files({"name": "a.wav", "mimeType": "audio/wav", "buffer": clip})
        expect(page.locator("audio")).to_have_js_property("duration", 0.1)
        expect(page.get_by_role("img", name="The sound that is sent, 0.1 s of 0.1 s")).to_be_visible()
        expect(predict(page).locator(".said")).to_have_text("0.5")


def test_a_value_that_may_be_missing_is_sent_as_not_known(browser: Browser, address: str) -> None:
    with visiting(browser, f"{address}/#/models/reading") as page:
        page.get_by_label("not known").check()
        expect(page.get_by_label("Reading", exact=True)).to_be_hidden()
        with page.expect_request(re.compile(":predict")) as asked:
            expect(predict(page).locator(".said")).to_have_text("NaN")
        assert (asked.value.post_data_json or {})["instances"] == [{"reading": None}]
        page.get_by_label("not known").uncheck()
        expect(page.get_by_label("Reading", exact=True)).to_have_value("1")


def test_a_date_is_chosen_within_its_range_and_sent_as_it_is_written(browser: Browser, address: str) -> None:
    with visiting(browser, f"{address}/#/models/day") as page:
        day = page.get_by_label("Day", exact=True)
        expect(day).to_have_value("2024-02-29")
        expect(day).to_have_attribute("max", "2024-10-04")
        day.fill("1970-01-02")
        with page.expect_request(re.compile(":predict")) as asked:
            expect(predict(page).locator(".said")).to_have_text("1")
        assert (asked.value.post_data_json or {})["instances"] == [{"day": "1970-01-02"}]
        page.get_by_label("not known").check()
        expect(page.locator(".said")).to_have_text("NaN")


def test_a_refusal_is_told_beside_the_form_and_at_the_field_that_it_names(browser: Browser, address: str) -> None:
    with visiting(browser, f"{address}/#/models/leaf", allowed=REFUSED) as page:
        length = page.get_by_label("Length", exact=True)
        length.fill("-1")
        page.get_by_role("button", name="Predict").click()
        expect(page.get_by_role("alert")).to_contain_text("instances[0].length: -1, wanted 0 to 50 mm")
        expect(length).to_have_attribute("aria-invalid", "true")
        assert_usable_by_everyone(page)
        expect(length).to_have_accessible_description(re.compile("wanted 0 to 50 mm"))
        length.fill("3")
        expect(predict(page)).to_contain_text("oak")
        expect(page.get_by_role("alert")).to_have_count(0)


def test_a_model_without_a_manifest_is_called_with_tensors_of_json(browser: Browser, address: str) -> None:
    with visiting(browser, f"{address}/#/models/bare/versions/1", allowed=REFUSED) as page:
        expect(page.get_by_role("link", name="1", exact=True)).to_have_attribute("aria-current", "page")
        expect(page.get_by_text(re.compile(r"FP32, any \S 2")).first).to_be_visible()
        page.get_by_label("a", exact=True).fill("[[1, 2]]")
        page.get_by_label("b", exact=True).fill("[[10, 30]]")
        answer = predict(page)
        expect(answer).to_contain_text(re.compile(r"total.*11\s*32.*difference.*-9\s*-28", re.DOTALL))
        page.get_by_label("b", exact=True).fill("[[10,")
        expect(page.get_by_role("alert")).to_contain_text("not JSON")
        page.get_by_label("b", exact=True).fill("[[10]]")
        expect(page.get_by_role("alert")).to_contain_text("b: shape [1, 1], wanted [-1, 2]")


def test_an_address_leads_to_a_model_back_leads_home_and_a_wrong_one_is_told(browser: Browser, address: str) -> None:
    with visiting(browser, address) as page:
        page.get_by_role("link", name="Handwritten digits").click()
        heading = page.get_by_role("heading", level=1)
        expect(heading).to_have_text("Handwritten digits, 8 x 8")
        expect(heading).to_be_focused()
        page.go_back()
        expect(heading).to_have_text("Models")
        expect(page).to_have_title("Headrace")
        page.goto(f"{address}/#/models/nobody")
        expect(heading).to_have_text("No model nobody")
        page.goto(f"{address}/#/models/digits/versions/99")
        expect(heading).to_have_text("Handwritten digits, 8 x 8 has no version 99")
        page.goto(f"{address}/#/models/damaged")
        expect(page.get_by_text("It could not be loaded")).to_be_visible()
        expect(page.locator(".reason")).to_contain_text("model.onnx: ")


def test_everything_up_to_an_answer_is_done_with_the_keyboard_alone(browser: Browser, address: str) -> None:
    with visiting(browser, address) as page:
        expect(page.get_by_role("heading", name="Models")).to_be_visible()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("main")).to_be_focused()
        tab_to(page, page.get_by_role("link", name="Leaves"))
        page.keyboard.press("Enter")
        tab_to(page, page.get_by_label("Length", exact=True))
        page.keyboard.press("ControlOrMeta+a")
        page.keyboard.type("20")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status", name="Answer")).to_contain_text("oak")


def tab_to(page: Page, wanted: Locator) -> None:
    expect(wanted).to_be_visible()
    for _ in range(60):
        page.keyboard.press("Tab")
        if wanted.evaluate("one => one === document.activeElement"):
            return
    raise AssertionError(f"{wanted} is not reached with Tab")


def test_live_figures_follow_the_calls(browser: Browser, address: str, service: httpx.Client) -> None:
    body = {"instances": [{"length": 1, "width": 1, "height": 1}]}
    with visiting(browser, f"{address}/#/models/leaf") as page:
        now = page.get_by_role("region", name="How it does now")
        expect(now).to_contain_text(re.compile(r"Calls a second\s*0"))
        for _ in range(20):
            assert service.post("/v1/models/leaf:predict", json=body).status_code == 200
        expect(now.get_by_role("img", name=re.compile("calls a second"))).to_be_visible()
        expect(now).to_contain_text(re.compile(r"Median latency\s*[0-9.]+ ms"))
        page.goto(f"{address}/#/")
        expect(model(page, "Leaves").locator("dd").first).not_to_have_text("0")


def drift_of(page: Page) -> Locator:
    return page.get_by_role("region", name="Has it drifted?")


def test_what_has_drifted_is_told_with_how(browser: Browser, address: str, service: httpx.Client) -> None:
    """Ever the same row is not what it was trained on."""
    told = service.get("/v1/models/breast-cancer/metadata").json()
    [features] = [one["features"] for one in told["manifest"]["inputs"]]
    row = {feature["name"]: feature["example"] for feature in features}
    path = f"/page/models/breast-cancer/versions/{told['version']}/drift"
    least = service.get(path).json()["fewest_rows"]

    def seen() -> bool:
        service.post("/v1/models/breast-cancer:predict", json={"instances": [row] * 100}).raise_for_status()
        return any(one["rows"] >= least for one in service.get(path).json()["drift"])

    wait_until(seen, "too few rows were counted")
    with visiting(browser, f"{address}/#/models/breast-cancer") as page:
        drift = drift_of(page)
        expect(drift).to_contain_text("have moved.")
        expect(drift.get_by_role("row", name="Mean radius")).to_contain_text("much changed")
        drift.get_by_text("How Mean radius has moved").click()
        expect(drift.get_by_role("group", name="How Mean radius has moved").get_by_text("100 %")).to_be_visible()
        assert_usable_by_everyone(page)


def test_where_there_is_nothing_to_compare_with_the_page_says_so(browser: Browser, address: str) -> None:
    with visiting(browser, f"{address}/#/models/day") as page:
        expect(drift_of(page)).to_contain_text("Nobody can tell: its manifest has no summaries of its training")


def test_what_a_manifest_of_before_does_not_tell_is_told(browser: Browser, address: str) -> None:
    """`leaf` has a summary of a feature, and none of its answers."""
    with visiting(browser, f"{address}/#/models/leaf") as page:
        expect(drift_of(page)).to_contain_text("What it answers is not compared")


def test_a_model_that_came_while_the_page_was_open_has_its_figures(
    browser: Browser, address: str, service: httpx.Client
) -> None:
    before = service.get("/page/overview").json()
    before["models"] = [one for one in before["models"] if one["name"] != "leaf"]
    with visiting(browser, address) as page:
        page.route("**/page/overview", lambda route: route.fulfill(json=before))
        with page.expect_response("**/page/overview"):
            page.reload()
        with page.expect_response("**/page/overview"):
            expect(page.get_by_text("Handwritten digits")).to_be_visible()
        page.unroute("**/page/overview")
        page.get_by_role("link", name="Leaves").click()
        expect(page.get_by_role("region", name="How it does now")).to_be_visible()


def test_a_service_that_cannot_be_reached_is_told_and_found_again(browser: Browser, address: str) -> None:
    with visiting(browser, address, allowed="net::ERR_FAILED") as page:
        expect(page.get_by_role("heading", name="Models")).to_be_visible()
        page.route("**/page/overview", lambda route: route.abort())
        expect(page.get_by_text("The service cannot be reached")).to_be_visible()
        expect(page.get_by_text("Unreachable")).to_be_visible()
        page.unroute("**/page/overview")
        page.get_by_role("button", name="Try now").click()
        expect(page.get_by_text("The service cannot be reached")).to_be_hidden()


def test_a_card_that_could_not_be_fetched_is_fetched_again(browser: Browser, address: str) -> None:
    with visiting(browser, address, allowed="net::ERR_FAILED") as page:
        page.route("**/metadata", lambda route: route.abort())
        page.get_by_role("link", name="Leaves").click()
        expect(page.get_by_text("The service cannot be reached")).to_be_visible()
        page.unroute("**/metadata")
        expect(page.get_by_role("button", name="Predict")).to_be_visible()


@pytest.mark.parametrize("status", [429, 502])
def test_a_proxy_that_answers_in_the_service_s_place_is_asked_again(
    browser: Browser, address: str, status: int
) -> None:
    with visiting(browser, address, allowed=f"the server responded with a status of {status}") as page:
        expect(page.get_by_role("heading", name="Models")).to_be_visible()
        page.route("**/page/overview", lambda route: route.fulfill(status=status, body="<h1>Not now</h1>"))
        expect(page.get_by_text("The service cannot be reached")).to_be_visible()
        page.unroute("**/page/overview")
        expect(page.get_by_text("The service cannot be reached")).to_be_hidden()


def test_a_basket_is_filled_by_search_and_answered_with_a_ranking_of_other_articles(
    browser: Browser, address: str
) -> None:
    with visiting(browser, f"{address}/#/models/next-items", allowed=REFUSED) as page:
        picked = page.get_by_role("list", name="Basket, picked").get_by_role("listitem")
        expect(picked.first).to_be_visible()
        while picked.count():
            picked.first.get_by_role("button").click()
        expect(predict(page)).to_contain_text("The answer appears here.")
        expect(page.locator(".field .problem")).to_contain_text("0 elements, wanted a list of 1 to 20")
        search = page.get_by_role("combobox", name="Basket")
        search.fill("jumbo bag red retro")
        expect(page.get_by_text("1 match", exact=True)).to_be_visible()
        search.press("Enter")
        expect(picked).to_have_text([re.compile("JUMBO BAG RED RETROSPOT")])
        search.fill("jumbo bag pink polkadot")
        page.get_by_role("button", name="Add").click()
        expect(picked).to_have_count(2)
        ranked = predict(page).locator(".ranking").get_by_role("listitem")
        expect(ranked).to_have_count(10)
        assert not {*ranked.all_inner_texts()} & {"JUMBO BAG RED RETROSPOT", "JUMBO BAG PINK POLKADOT", "(nothing)"}
        page.get_by_role("button", name="Remove JUMBO BAG RED RETROSPOT").click()
        expect(picked).to_have_count(1)


def test_a_mail_is_pasted_and_called_spam_or_not(browser: Browser, address: str) -> None:
    with visiting(browser, f"{address}/#/models/spam") as page:
        page.get_by_label("Text", exact=True).fill(
            "FREE MONEY!!!\n\nDear friend,\nclick here to receive your $1,000 now. 100% guaranteed, no credit check!\n"
            "To be removed from our list reply with REMOVE in the subject."
        )
        expect(predict(page).locator(".said")).to_contain_text("spam")
        page.get_by_label("Text", exact=True).fill(
            "Re: build fails\n\nOn Monday Ann wrote:\n> the build fails on my machine\n\n"
            "I think that the problem is the version of the compiler, which version do you use?"
        )
        expect(predict(page).locator(".said")).to_contain_text("ham")


VIEWS = {
    "": "Models",
    "models/leaf": "Leaves",
    "models/digits": "Handwritten digits, 8 x 8",
    "models/breast-cancer": "Breast cancer: malignant or benign",
    "models/demand": "Demand of an article in the week to come",
    "models/volatility": "Volatility of the S&P 500 in the week to come",
    "models/quickstart": "Quick start: odd or even, from four points",
    "models/spam": "Spam: is a mail wanted",
    "models/next-items": "Next items: what goes with a basket",
    "models/bare": "bare",
    "models/damaged": "damaged",
}
"""Each view's address and heading."""


EACH_ONCE = [("light", 360), ("dark", 1280)]
"""Colours do not depend on the width, nor places on the scheme, and axe takes five seconds a view."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_every_view_is_usable_by_everyone_in_every_scheme_and_width(
    browser: Browser, address: str, scheme: str, width: int
) -> None:
    size = {"width": width, "height": 900}
    with visiting(browser, address, color_scheme=scheme, reduced_motion="reduce", viewport=size) as page:
        for view, heading in VIEWS.items():
            page.goto(f"{address}/#/{view}")
            expect(page.get_by_role("heading", level=1)).to_have_text(heading)
            if view not in ("", "models/damaged"):
                expect(predict(page).locator(".said, .values, .ranking").first).to_be_visible()
            if view in ("models/leaf", "models/digits", "models/breast-cancer", "models/quickstart"):
                expect(explained(page)).to_be_visible()
            page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true })")
            if (scheme, width) in EACH_ONCE:
                assert_usable_by_everyone(page)
            overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert overflow == 0, f"{view or 'the list'} is {overflow} px wider than {width}"


def test_the_two_schemes_differ(browser: Browser, address: str) -> None:
    def paper(scheme: str) -> str:
        with visiting(browser, address, color_scheme=scheme) as page:
            return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    assert paper("light") != paper("dark")


def test_a_model_that_is_still_loading_is_shown_as_such_until_it_is_ready(
    browser: Browser, address: str, service: httpx.Client
) -> None:
    seen = service.get("/page/overview").json()
    [leaf] = [one for one in seen["models"] if one["name"] == "leaf"]
    leaf["versions"][0] |= {"state": "LOADING", "default": False}
    with visiting(browser, f"{address}/#/models/leaf") as page:
        page.route("**/page/overview", lambda route: route.fulfill(json=seen))
        page.reload()
        expect(page.get_by_text("It is being loaded.")).to_be_visible()
        page.unroute("**/page/overview")
        expect(page.get_by_role("button", name="Predict")).to_be_visible()
