// weft's own page, used as a person would.

import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, pictures, weft } from "./lib/setting.js";

const ways = { "browser offers": "#connect", "weft offers": "#connect-reverse" };

for (const [way, button] of Object.entries(ways)) {
  test(`${browser.name} on weft's page (${way}) chats, transfers and hangs up`, async (t) => {
    const page = await browser.page(weft.url);
    const text = (selector) => page.evaluate((s) => document.querySelector(s).innerText, selector);
    try {
      await page.resize(1100, 900);
      await page.click(button);
      await page.until(() => !document.querySelector("#transfer").disabled &&
        !document.querySelector("#chat-send").disabled);
      assert.equal(await text("#state"), "connected");

      for (const message of ["Hello, weft", "and once more \u00e9 \u7db4"]) {
        await page.type("#chat-input", message);
        await page.click("#chat-send");
      }
      await page.until(() => document.querySelectorAll("#chat-log .echo").length === 2);
      assert.match(await text("#chat-log"), /weft: Hello, weft \d/);
      assert.match(await text("#chat-log"), /weft: and once more \u00e9 \u7db4 \d/);

      await page.click("#transfer");
      await page.until(() => /intact|closed|changed/.test(
        document.querySelector("#transfer-result").innerText), 120_000);
      const result = await text("#transfer-result");
      assert.match(result, /^10 MB there and back, all intact/);
      t.diagnostic(result);
      await page.screenshot(`${pictures}/${browser.name}, ${way}.png`);

      await page.click("#hangup");
      assert.equal(await text("#state"), "closed");
      assert.match(await text("#timeline"), /connection\s+closed/);
      assert.equal(await page.evaluate(() => document.querySelector("#transfer").disabled), true);
      assert.equal(await text("#error"), "");
      assert.deepEqual(page.complaints, []);

      await page.click(button);
      await page.until(() => !document.querySelector("#chat-send").disabled);
    } finally {
      await page.close();
    }
  });
}
