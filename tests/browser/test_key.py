"""With an API key set: pages open, ask for it, and send it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests import graphs
from tests.browser.browsing import WITHOUT_A_KEY, visiting
from tests.manifests import manifest
from tests.serving import serving


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("models")
    leaf = graphs.add_to_repository(folder, "leaf", graphs.double())
    (leaf / "manifest.json").write_text(manifest().model_dump_json())
    with serving(folder, until="/health/live", api_key="sesame", log_requests=False) as client:
        yield str(client.base_url).rstrip("/")


@pytest.mark.parametrize(
    ("path", "shown"), [("/", "Models"), ("/#/models/leaf", "Leaves"), ("/docs", "Headrace"), ("/redoc", "Headrace")]
)
def test_a_page_opens_without_a_key_asks_for_it_and_shows_data_with_it(
    browser: Browser, address: str, path: str, shown: str
) -> None:
    with visiting(browser, address + path, allowed=WITHOUT_A_KEY) as page:
        key = page.locator("input[type=password]")
        expect(key).to_be_focused()
        key.fill("wrong")
        key.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("The service did not accept that key.")
        key.fill("sesame")
        key.press("Enter")
        expect(page.get_by_role("heading", name=shown).first).to_be_visible()
        page.reload()
        expect(page.get_by_role("heading", name=shown).first).to_be_visible()
        assert page.evaluate("sessionStorage['headrace-key']") == "sesame"


def test_a_prediction_is_sent_with_the_key_which_can_be_forgotten(browser: Browser, address: str) -> None:
    with visiting(browser, f"{address}/#/models/leaf", allowed=WITHOUT_A_KEY) as page:
        page.get_by_label("API key").fill("sesame")
        page.get_by_role("button", name="Continue").click()
        page.get_by_role("button", name="Predict").click()
        expect(page.get_by_role("status", name="Answer")).to_contain_text("oak")
        page.get_by_text("Send the same from a terminal").click()
        curl = page.get_by_label("curl", exact=True)
        expect(curl).to_contain_text("X-API-Key: $HEADRACE_API_KEY")
        expect(curl).not_to_contain_text("sesame")
        page.get_by_role("button", name="Forget the key").click()
        expect(page.get_by_label("API key")).to_be_visible()
        assert page.evaluate("sessionStorage.length") == 0
