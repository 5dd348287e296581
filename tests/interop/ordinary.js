// A browser without any switch, as a person has it. It hides its addresses behind mDNS
// names, since a page that may not listen may not know them either.

import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, inPage, roles } from "./lib/setting.js";
import "./page.js";

for (const role of roles) {
  test(`${browser.name} as anybody has it, as ${role}, connects without showing its address`, async (t) => {
    const seen = await inPage(({ server, role }) => lab.calling(server, { role }, async (call) => {
      const back = await lab.echo(call.channel, "hello");
      const kinds = (await call.stats("local-candidate")).map((c) => `${c.candidateType} ${c.protocol}`);
      const { sdp } = call.peer.localDescription;
      return { back, kinds, addresses: sdp.match(/^a=candidate:.*$/gm) ?? [], ms: call.openAfter };
    }), { role });
    assert.equal(seen.back, "hello");
    for (const line of seen.addresses) assert.match(line, /\.local /);
    t.diagnostic(`open after ${seen.ms.toFixed(0)} ms; ${seen.addresses.length} hidden candidates`);
  });
}
