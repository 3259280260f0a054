"""The page in a real browser, headless: publishes a release, sees it on the air, halts it; by mouse, by keyboard, on a
telephone; and shows hostile names as text."""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from headend.pack.keys import write_key_pair
from tests.e2e.lab import free_port, prepare
from tests.e2e.service import Service, until

pytestmark = [pytest.mark.processes, pytest.mark.browser, pytest.mark.slow]
PATIENCE_MS = 30_000
PICTURES = os.environ.get("BOOTCAST_PICTURES")
"""A folder for screenshots, for whoever wants to look."""


@pytest.fixture
def service(tmp_path):
    made = Service(tmp_path, '[interfaces]\nlo = "100M"\n')
    write_key_pair(made.data / "bulletin")
    yield made.start()
    made.stop()


@pytest.fixture
def opened(browser, service):
    """Open the page at a width, logged in; complaints of the browser fail the test."""
    pages: list[tuple[Page, list[str]]] = []

    def at(width: int = 1280, height: int = 900) -> Page:
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(PATIENCE_MS)
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.goto(service.url)
        page.get_by_label("Token").fill(service.token)
        page.get_by_role("button", name="Log in").click()
        expect(page.locator("#link")).to_have_text("live", timeout=PATIENCE_MS)
        pages.append((page, complaints))
        return page

    yield at
    for page, complaints in pages:
        page.close()
        assert not [each for each in complaints if "Failed to load resource" not in each], complaints


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.wait_for_timeout(1200)
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


def answer(page: Page, name: str) -> None:
    page.get_by_role("dialog").get_by_role("button", name=name).click()
    expect(page.get_by_role("dialog")).to_be_hidden(timeout=PATIENCE_MS)


def make_carousel(page: Page, name: str = "lab", rate: str = "8M") -> None:
    page.get_by_role("button", name="New carousel …").click()
    page.get_by_label("Name: a-z").fill(name)
    page.get_by_label("Group and port").fill(f"239.255.77.7:{free_port()}")
    page.get_by_label("Interface").fill("lo")
    page.get_by_label("Bit/s").fill(rate)
    picture(page, "dialog")
    answer(page, "Make it")


def test_a_release_is_published_seen_on_the_air_and_halted(service, opened):
    page = opened()
    picture(page, "empty")
    page.set_input_files("#file", service.pack("settop-image", 1_500_000))
    row = page.locator("#release-rows li")
    expect(row).to_contain_text("settop-image 1.4.0", timeout=PATIENCE_MS)
    make_carousel(page)
    card = page.locator("#carousel-cards article")
    card.get_by_role("button", name="Put on …").click()
    answer(page, "Put it on the air")
    expect(card.locator(".pill")).to_have_text("on the air", timeout=PATIENCE_MS)
    expect(card).to_contain_text("100 % of the rate", timeout=PATIENCE_MS)

    row.get_by_role("button", name="Stage …").click()
    page.get_by_label("Per cent of boxes").fill("1")
    answer(page, "Say so on the air")
    expect(row).to_contain_text("for 1 % of boxes", timeout=PATIENCE_MS)
    picture(page, "desktop")

    row.get_by_role("button", name="Stage …").click()
    page.get_by_label("Or by rule").fill("1% 10m, 100%")
    picture(page, "stage")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Say so on the air").click()
    expect(page.locator("#dialog-error")).to_contain_text("takes no reports", timeout=PATIENCE_MS)
    page.get_by_label("A rule goes on when").select_option("time")
    answer(page, "Say so on the air")
    expect(row).to_contain_text("by rule: 1 % 10 min, 100 % · this stage 10 min more", timeout=PATIENCE_MS)
    picture(page, "rule")

    row.get_by_role("button", name="Halt …").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Halt settop-image 1.4.0?")
    expect(dialog).to_contain_text("Every box that hears it drops what it collected")
    page.get_by_label("Why").fill("fan stays off")
    picture(page, "halt")
    answer(page, "Halt settop-image 1.4.0 everywhere")
    expect(row).to_contain_text("halted: fan stays off", timeout=PATIENCE_MS)
    happened = page.locator("#event-rows")
    expect(happened).to_contain_text("halt settop-image", timeout=PATIENCE_MS)
    expect(happened).to_contain_text("admin: put lab: settop-image 1.4.0")
    expect(happened).to_contain_text(re.compile(r"[A-Z][a-z]{2} \d+, \d\d:\d\d:\d\d"))
    (shown,) = service.client.get("/api/releases").json()
    assert (shown["is_halted"], shown["percent"]) == (True, 1)


def test_it_is_dropped_with_the_mouse(service, opened):
    page = opened()
    raw = service.pack("dropped", 20_000).read_bytes()
    transfer = page.evaluate_handle(
        """bytes => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "x.release"));
            return transfer;
        }""",
        list(raw),
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
    expect(page.locator("#release-rows")).to_contain_text("dropped 1.4.0", timeout=PATIENCE_MS)


def test_what_is_refused_is_said_where_it_was_asked(service, opened):
    page = opened()
    make_carousel(page)
    page.get_by_role("button", name="Rate …").click()
    page.get_by_label("Bit/s").fill("1G")
    page.get_by_role("dialog").get_by_role("button", name="Change the rate").click()
    expect(page.locator("#dialog-error")).to_contain_text("lo bears 100.0 Mb/s", timeout=PATIENCE_MS)
    for typed, told in (("12000Q", "'12000Q' is not a rate"), ("abc", "'abc' is not a rate")):
        page.get_by_label("Bit/s").fill(typed)
        page.get_by_role("dialog").get_by_role("button", name="Change the rate").click()
        expect(page.locator("#dialog-error")).to_contain_text(told, timeout=PATIENCE_MS)
    page.get_by_label("Bit/s").fill("1.25MB/s")
    answer(page, "Change the rate")
    expect(page.locator("#carousel-cards article")).to_contain_text("of 10.0 Mb/s", timeout=PATIENCE_MS)
    page.set_input_files("#file", {"name": "x.release", "mimeType": "", "buffer": b"no release" * 1000})
    expect(page.locator("#toast")).to_contain_text("no whole release file", timeout=PATIENCE_MS)


def test_with_the_keyboard_alone(service, opened):
    """Everything that pauses a carousel: Tab to it, Enter, Tab, Enter."""
    service.create("lab")
    page = opened()
    expect(page.get_by_role("button", name="Pause …")).to_be_visible()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Pause …":
            break
    else:
        raise AssertionError("Tab never comes to Pause")
    page.keyboard.press("Enter")
    expect(page.locator("#dialog-no")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#dialog-yes")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#carousel-cards .pill")).to_have_text("paused", timeout=PATIENCE_MS)
    assert page.evaluate("document.activeElement.textContent") in ("Pause …", "Go on"), "focus stays where it was"


@pytest.mark.parametrize("width", [400, 320])
def test_on_a_telephone_nothing_is_cut_off(service, opened, width):
    release = service.upload(service.pack("settop-image-of-a-rather-long-nam"[:32], 200_000))
    service.create("first-floor-behind-the-stairs-01")
    service.put("first-floor-behind-the-stairs-01", release)
    service.on_air("first-floor-behind-the-stairs-01")
    page = opened(width, 860)
    expect(page.locator("#carousel-cards .pill")).to_have_text("on the air", timeout=PATIENCE_MS)
    picture(page, f"telephone-{width}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    small = page.evaluate(
        """[...document.querySelectorAll("button")]
            .filter(each => each.offsetParent && each.offsetHeight < 34).map(each => each.textContent)"""
    )
    assert small == [], "too small for a thumb"


def test_hostile_names_are_text(service, opened):
    """A release's name is its maker's; a reason an operator's; both may be anything."""
    name = "<img src=x onerror=alert(1)>"
    image = service.folder / "image"
    image.write_bytes(os.urandom(20_000))
    path = service.folder / "hostile.release"
    arguments = ["-o", path, "--key", service.folder / "lab.key", "--hardware", "00A1B2:7", "--version", "1.0.0"]
    prepare("headend", "pack", image, *arguments, "--name", name)
    release = service.upload(path)
    service.create("lab")
    service.put("lab", release)
    why = "<script>alert(2)</script>"
    halt = f"/api/rollout/releases/{release}/halt"
    assert service.client.put(halt, json={"why": why}, headers={"If-Match": "*"}).status_code == 200
    page = opened()
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    expect(page.locator("#release-rows h3")).to_have_text(f"{name} 1.0.0", timeout=PATIENCE_MS)
    expect(page.locator("#release-rows")).to_contain_text(why)
    page.locator("#release-rows").get_by_role("button", name="Resume …").click()
    expect(page.locator("#dialog-title")).to_contain_text(name)
    expect(page.locator("#event-rows")).to_contain_text(name)
    picture(page, "hostile")
    assert page.locator("#desk script, #desk img, #dialog img").count() == 0


def test_a_page_that_is_left_open_comes_back_with_the_service(service, opened):
    page = opened()
    service.kill()
    expect(page.locator("#link")).to_contain_text("does not answer", timeout=PATIENCE_MS)
    assert page.locator("#desk").is_visible()
    until(lambda: service.process is None, "its end")
    port = service.url.rsplit(":", 1)[1]
    service.start(f"127.0.0.1:{port}")
    expect(page.locator("#login")).to_be_visible(timeout=PATIENCE_MS)
