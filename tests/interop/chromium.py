"""Chromium without a window, driven by chromedriver. It is Debian's: no browser is downloaded."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

LIGHT, DARK = "light", "dark"

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # tests run as root in a container; the pages are ours
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--ignore-certificate-errors",  # the CA of the test is not in its store
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection",
)


@contextlib.contextmanager
def chromium(width: int = 1200, height: int = 900, scheme: str = LIGHT) -> Iterator[webdriver.Chrome]:
    """A browser with a profile of its own, which goes with it."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in (*FLAGS, f"--window-size={width},{height}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options, Service(str(shutil.which("chromedriver"))))
    try:
        resize(browser, width, height)
        prefer(browser, scheme)
        yield browser
    finally:
        browser.quit()


def resize(browser: webdriver.Chrome, width: int, height: int) -> None:
    """Give the page this size, as a phone or a screen has it."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def prefer(browser: webdriver.Chrome, scheme: str) -> None:
    """What the user's system says of light and dark."""
    wish = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [wish]})


def complaints(browser: webdriver.Chrome) -> list[str]:
    """What the browser has complained of: a script that failed, something that the page's policy forbids."""
    entries = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return [str(each["message"]) for each in entries if each["level"] in ("SEVERE", "WARNING")]
