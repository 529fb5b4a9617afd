"""/docs and /redoc in a real browser without a network."""

import json

from playwright.sync_api import Browser, expect

from tests.browser.browsing import visiting


def test_the_first_example_gives_a_prediction_on_execute(browser: Browser, address: str) -> None:
    with visiting(browser, f"{address}/docs") as page:
        expect(page.locator(".opblock").first).to_be_visible()
        page.locator(".opblock-post").first.locator(".opblock-summary-control").click()
        page.get_by_role("button", name="Execute").click()
        response = page.locator(".live-responses-table")
        expect(response.locator(".response-col_status").last).to_contain_text("200")
        assert json.loads(response.locator("pre").first.inner_text())["predictions"]


def test_the_reference_is_rendered(browser: Browser, address: str) -> None:
    with visiting(browser, f"{address}/redoc") as page:
        expect(page.get_by_role("heading", name="Headrace")).to_be_visible()
        expect(page.get_by_text("Predict: image classification").first).to_be_attached()
