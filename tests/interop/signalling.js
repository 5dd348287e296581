import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, inPage, roles, weft, withPage } from "./lib/setting.js";

for (const role of roles) {
  const as = `${browser.name} as ${role}`;

  test(`${as} connects with all its candidates in the description`, async () => {
    const seen = await inPage(({ server, role }) =>
      lab.calling(server, { role, trickle: false }, async (call) => ({
        back: await lab.echo(call.channel, "hello"),
        trickled: call.patches.filter(({ type }) => type !== "application/sdp").length,
      })), { role });
    assert.deepEqual(seen, { back: "hello", trickled: 0 });
  });

  test(`${as} connects with its candidates in PATCH alone`, async () => {
    const seen = await inPage(({ server, role }) => {
      const alter = (sdp) => sdp.replace(/^a=(candidate|end-of-candidates).*\r\n/gm, "");
      return lab.calling(server, { role, alter }, async (call) => ({
        back: await lab.echo(call.channel, "hello"),
        statuses: (await call.trickled, [...new Set(call.patches.map((p) => p.status))]),
      }));
    }, { role });
    assert.deepEqual(seen, { back: "hello", statuses: [204] });
  });

  test(`${as} is refused an ICE restart and stays connected`, async () => {
    const seen = await inPage(({ server, role }) => lab.calling(server, { role }, async (call) => {
      const other = ["a=ice-ufrag:Unkn", "a=ice-pwd:0123456789abcdefghijklmn", ""].join("\r\n");
      const status = await call.patch("application/trickle-ice-sdpfrag", other);
      return { status, back: await lab.echo(call.channel, "still here") };
    }), { role });
    assert.deepEqual(seen, { status: 422, back: "still here" });
  });

  test(`${as} whose fingerprint is not the one announced gets no channel`, async () => {
    await withPage(async (evaluate) => {
      const location = await evaluate(async ({ server, role }) => {
        const alter = (sdp) => sdp.replace(/^(a=fingerprint:\S+ )(..)/gm,
          (_, start, byte) => start + (byte === "00" ? "01" : "00"));
        window.call = new lab.Call(server, { role, alter });
        call.channel.addEventListener("open", () => (call.opened = true));
        await call.signal();
        return call.location;
      }, { role });
      assert.match(await weft.ended(location), /connection over; 0 messages/);
      assert.equal(await evaluate(() => call.opened ?? false), false);
    });
  });

  test(`${as} has twenty connections at once`, async () => {
    const back = await inPage(async ({ server, role }) => {
      const one = (_, i) => lab.calling(server, { role }, ({ channel }) => lab.echo(channel, `${i}`));
      return Promise.all(Array.from({ length: 20 }, one));
    }, { role });
    assert.deepEqual(back, Array.from({ length: 20 }, (_, i) => `${i}`));
  });
}

for (const setup of ["active", "passive"]) {
  test(`${browser.name} as offerer that is ${setup} in DTLS connects`, async () => {
    const seen = await inPage(({ server, setup }) => {
      const alter = (sdp) => sdp.replaceAll("a=setup:actpass", `a=setup:${setup}`);
      return lab.calling(server, { alter }, async (call) => ({
        answered: call.remote.match(/^a=setup:(.*)$/m)[1].trim(),
        back: await lab.echo(call.channel, "hello"),
      }));
    }, { setup });
    assert.equal(seen.answered, setup === "active" ? "passive" : "active");
    assert.equal(seen.back, "hello");
  });
}

for (const trickle of [true, false]) {
  for (const bundlePolicy of ["balanced", "max-compat", "max-bundle"]) {
    const how = `${bundlePolicy}, candidates ${trickle ? "by PATCH" : "in the offer"}`;
    test(`${browser.name} that offers audio and video too (${how}) gets data alone`, async () => {
      const seen = await inPage(({ server, bundlePolicy, trickle }) => {
        const options = { media: true, configuration: { bundlePolicy }, trickle };
        return lab.calling(server, options, async (call) => ({
          offered: call.peer.localDescription.sdp.match(/^m=\w+/gm),
          answered: call.remote.match(/^m=\w+ \d+/gm),
          directions: call.peer.getTransceivers().map((t) => t.currentDirection),
          back: await lab.echo(call.channel, lab.text(20_000)) === lab.text(20_000),
          state: call.peer.connectionState,
          statuses: (await call.trickled, [...new Set(call.patches.map((p) => p.status))]),
        }));
      }, { bundlePolicy, trickle });
      assert.deepEqual(seen.offered, ["m=audio", "m=video", "m=application"]);
      assert.match(seen.answered[1], / 0$/);
      assert.doesNotMatch(seen.answered[2], / 0$/);
      // The first section carries the transport of all under max-bundle, and until there are
      // candidates nobody can tell. It is inactive then; rejecting it would end them all.
      if (!trickle && bundlePolicy !== "max-bundle") assert.match(seen.answered[0], / 0$/);
      for (const direction of seen.directions)
        assert.ok(["inactive", "stopped", null].includes(direction), direction);
      assert.equal(seen.back, true);
      assert.equal(seen.state, "connected");
      for (const status of seen.statuses) assert.equal(status, 204);
    });
  }
}
