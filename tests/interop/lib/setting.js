// What every test has at hand: one browser, one server, and one page a test.
//
// From the environment, as `run` sets it: BROWSER (chromium or firefox), BROWSER_PROGRAM,
// WEFT_PROGRAM, PICTURES (a folder), and ORDINARY=1 for a browser as a person has it.

import { after } from "node:test";
import { launch } from "./browsers.js";
import { servePage, TurnServer, WeftServer } from "./servers.js";

const { BROWSER, BROWSER_PROGRAM, WEFT_PROGRAM, PICTURES, ORDINARY } = process.env;

export const pictures = PICTURES;
export const weft = await WeftServer.start(WEFT_PROGRAM);
export const turn = await TurnServer.start(WEFT_PROGRAM);
const origin = await servePage();
export const browser = await launch(BROWSER, BROWSER_PROGRAM, { ordinary: ORDINARY === "1" });

after(async () => {
  await browser.close();
  await weft.stop();
  await turn.stop();
  origin.stop();
});

export const roles = ["offerer", "answerer"];

/** A page that has page/lab.js as `lab`. `use` gets what evaluates in it. */
export async function withPage(use) {
  const page = await browser.page(origin.url);
  try {
    await page.until(() => window.lab !== undefined);
    return await use((f, argument) => page.evaluate(f, { server: weft.echo, ...argument }));
  } finally {
    await page.close();
  }
}

/** Runs `f(argument)` in such a page. */
export const inPage = (f, argument) => withPage((evaluate) => evaluate(f, argument));

/** "12.3 MB/s", of what went each way. */
export function rate({ bytes, seconds }) {
  return `${(bytes / 1e6 / seconds).toFixed(1)} MB/s`;
}
