// One way to drive both browsers: pages that evaluate functions and take pictures.

import { chromium } from "playwright-core";
import puppeteer from "puppeteer-core";

/**
 * `ordinary` leaves out everything that makes a browser show more of its addresses than it
 * shows to a page at a person's desk.
 */
export async function launch(name, executable, { ordinary }) {
  const browser = await drivers[name](executable, ordinary);
  return {
    name,
    version: browser.version,
    async page(url) {
      const page = await browser.newPage();
      const complaints = [];
      page.on("pageerror", (error) => complaints.push(error.message));
      await page.goto(url);
      return {
        complaints,
        evaluate: (f, argument) => page.evaluate(f, argument),
        click: (selector) => page.click(selector),
        type: (selector, text) => page.type(selector, text),
        until: (f, ms = 30_000) => browser.waitFor(page, f, ms),
        resize: (width, height) => browser.resize(page, width, height),
        screenshot: (path) => page.screenshot({ path, fullPage: true }),
        goto: (to) => page.goto(to),
        close: () => page.close(),
      };
    },
    close: () => browser.close(),
  };
}

const drivers = {
  async chromium(executablePath, ordinary) {
    const args = ["--disable-gpu", "--disable-quic", "--disable-sync"];
    if (!ordinary) {
      args.push(
        // Who may listen may also know the addresses.
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        // Without it a host that has nothing but loopback yields no candidate at all.
        "--allow-loopback-in-peer-connection",
      );
    }
    const browser = await chromium.launch({ executablePath, args, chromiumSandbox: false });
    return {
      version: `Chromium ${browser.version()}`,
      newPage: () => browser.newPage(),
      waitFor: (page, f, timeout) => page.waitForFunction(f, null, { timeout }),
      resize: (page, width, height) => page.setViewportSize({ width, height }),
      close: () => browser.close(),
    };
  },

  async firefox(executablePath, ordinary) {
    const preferences = { "datareporting.policy.dataSubmissionEnabled": false };
    if (!ordinary) {
      Object.assign(preferences, {
        "media.navigator.streams.fake": true,
        "media.peerconnection.ice.loopback": true,
        "media.peerconnection.ice.obfuscate_host_addresses": false,
        // Who may listen may also know every address, not only the default route's.
        "permissions.default.camera": 1,
        "permissions.default.microphone": 1,
      });
    }
    const browser = await puppeteer.launch({
      browser: "firefox",
      executablePath,
      headless: true,
      extraPrefsFirefox: preferences,
      protocolTimeout: 300_000,
    });
    return {
      version: (await browser.version()).replace("firefox/", "Firefox "),
      newPage: () => browser.newPage(),
      waitFor: (page, f, timeout) => page.waitForFunction(f, { timeout }),
      resize: (page, width, height) => page.setViewport({ width, height }),
      close: () => browser.close(),
    };
  },
};
