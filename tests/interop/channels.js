import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, inPage, rate, roles, weft } from "./lib/setting.js";

const sizes = [0, 1, 1200, 16384, 65536, 262144];

for (const role of roles) {
  const as = `${browser.name} as ${role}`;

  test(`${as} opens a data channel over DTLS 1.2`, async (t) => {
    const seen = await inPage(({ server, role }) => lab.calling(server, { role }, async (call) => ({
      states: [call.peer.connectionState, call.peer.iceConnectionState, call.peer.signalingState],
      id: call.channel.id,
      largest: call.peer.sctp.maxMessageSize,
      transport: (await call.stats("transport"))[0],
      openAfter: call.openAfter,
      patches: (await call.trickled, call.patches),
    })), { role });
    assert.equal(seen.states[0], "connected");
    assert.ok(["connected", "completed"].includes(seen.states[1]), seen.states[1]);
    assert.equal(seen.states[2], "stable");
    // RFC 8832 §6: the DTLS client, who the answerer is here, opens even streams.
    assert.equal(seen.id % 2, role === "answerer" ? 0 : 1);
    assert.equal(seen.largest, 262144);
    assert.equal(seen.transport.dtlsState, "connected");
    assert.equal(seen.transport.tlsVersion, "FEFD");
    assert.equal(seen.transport.dtlsRole ?? "", role === "answerer" ? "client" : "server");
    for (const { status, text } of seen.patches) assert.equal(status, 204, text);
    t.diagnostic(`open after ${seen.openAfter.toFixed(0)} ms, ${seen.transport.dtlsCipher}`);
  });

  for (const kind of ["text", "binary"]) {
    test(`${as} gets back ${kind} of 0 to 262,144 bytes as it was`, async () => {
      const changed = await inPage(({ server, role, kind, sizes }) =>
        lab.calling(server, { role }, async ({ channel }) => {
          const bad = [];
          for (const size of sizes) {
            const sent = kind === "text" ? lab.text(size) : lab.bytes(size, size + 1);
            const back = await lab.echo(channel, sent);
            const alike = kind === "text" ? typeof back === "string" : back instanceof ArrayBuffer;
            if (!alike || !lab.same(sent, back)) bad.push(size);
          }
          return bad;
        }), { role, kind, sizes });
      assert.deepEqual(changed, []);
    });
  }

  test(`${as} cannot send more than weft takes in one message`, async () => {
    const seen = await inPage(({ server, role }) =>
      lab.calling(server, { role }, async ({ channel }) => {
        let error = "none";
        try {
          channel.send(new Uint8Array(262145));
        } catch (thrown) {
          error = thrown.name;
        }
        return { error, after: await lab.echo(channel, "still here") };
      }), { role });
    assert.deepEqual(seen, { error: "TypeError", after: "still here" });
  });

  test(`${as} moves 50 MB each way intact with 4 MiB buffered at most`, async (t) => {
    const done = await inPage(({ server, role }) =>
      lab.calling(server, { role }, ({ channel }) => lab.transfer(channel, 50_000_000)), { role });
    assert.equal(done.bytes, 50_000_000);
    assert.ok(done.highest <= 4 << 20, `${done.highest} bytes buffered`);
    t.diagnostic(`${rate(done)} each way`);
  });

  const kinds = {
    "unordered": { ordered: false },
    "ordered, never retransmitting": { maxRetransmits: 0 },
    "unordered, never retransmitting": { ordered: false, maxRetransmits: 0 },
    "ordered, giving up after 500 ms": { maxPacketLifeTime: 500 },
    "unordered, giving up after 500 ms": { ordered: false, maxPacketLifeTime: 500 },
  };
  for (const [kind, init] of Object.entries(kinds)) {
    test(`${as} has a channel that is ${kind}`, async (t) => {
      const count = 300;
      const { back, intact, after } = await inPage(({ server, role, init, count }) =>
        lab.calling(server, { role, channels: { data: init } }, async ({ channel }) => {
          const seen = await lab.burst(channel, count, 1000);
          return { ...seen, after: await lab.echo(channel, "after it all") };
        }), { role, init, count });
      assert.ok(intact, "a message came back changed");
      assert.equal(new Set(back).size, back.length, "a message came back twice");
      if (init.ordered !== false) assert.deepEqual(back, back.slice().sort((a, b) => a - b));
      const reliable = init.maxRetransmits === undefined && init.maxPacketLifeTime === undefined;
      // Loopback loses nothing, but on a busy machine a late acknowledgement looks like loss.
      const least = reliable ? count : count * 0.2;
      assert.ok(back.length >= least, `${back.length} of ${count} came back`);
      assert.equal(after, "after it all");
      if (back.length < count) t.diagnostic(`${back.length} of ${count} came back`);
    });
  }

  test(`${as} has channels of each kind that do not disturb each other`, async () => {
    const short = await inPage(({ server, role, kinds }) =>
      lab.calling(server, { role, channels: { reliable: {}, ...kinds } }, async (call) => {
        const bursts = Object.values(call.channels).map((c) => lab.burst(c, 100, 5000));
        const [reliable] = await Promise.all(bursts);
        return reliable.back.length;
      }), { role, kinds });
    assert.equal(short, 100);
  });

  test(`${as} uses a channel negotiated out of band`, async () => {
    const seen = await inPage(({ server, role }) => {
      const channels = { agreed: { negotiated: true, id: 6 }, announced: {} };
      return lab.calling(`${server}?negotiated=6`, { role, channels }, async (call) => ({
        id: call.channels.agreed.id,
        other: call.channels.announced.id,
        agreed: await lab.echo(call.channels.agreed, "agreed"),
        announced: await lab.echo(call.channels.announced, "announced"),
      }));
    }, { role });
    assert.equal(seen.id, 6);
    assert.notEqual(seen.other, 6);
    assert.equal(seen.agreed, "agreed");
    assert.equal(seen.announced, "announced");
  });

  test(`${as} opens 100 channels at once`, async (t) => {
    const seen = await inPage(({ server, role }) => {
      const labels = Array.from({ length: 100 }, (_, i) => `channel ${i}`);
      const channels = Object.fromEntries(labels.map((label) => [label, {}]));
      return lab.calling(server, { role, channels }, async (call) => {
        const echoes = await Promise.all(labels.map((l) => lab.echo(call.channels[l], l)));
        const ids = new Set(labels.map((l) => call.channels[l].id));
        return { same: echoes.every((e, i) => e === labels[i]), ids: ids.size, ms: call.openAfter };
      });
    }, { role });
    assert.ok(seen.same);
    assert.equal(seen.ids, 100);
    t.diagnostic(`all open after ${seen.ms.toFixed(0)} ms`);
  });

  test(`${as} opens channels later, whose label and protocol may be of any language`, async () => {
    const back = await inPage(({ server, role }) => lab.calling(server, { role }, async (call) => {
      const late = call.open("\u7d4c\u7cf8 \u{1f9f5}", { protocol: "\u00e9cho" });
      await call.connected();
      const unnamed = call.open("", {});
      await call.connected();
      return [await lab.echo(late, "one"), await lab.echo(unnamed, "two")];
    }), { role });
    assert.deepEqual(back, ["one", "two"]);
  });

  test(`${as} closes a channel, and the next takes its stream`, async () => {
    const seen = await inPage(({ server, role }) => lab.calling(server, { role }, async (call) => {
      const ids = [];
      for (let i = 0; i < 5; ++i) {
        const channel = call.open(`short ${i}`, {});
        await call.connected();
        ids.push(channel.id);
        await lab.echo(channel, "hello");
        const closed = lab.next(channel, "close");
        channel.close();
        await closed;
        delete call.channels[`short ${i}`];
      }
      return { ids, other: await lab.echo(call.channel, "the first is still open") };
    }), { role });
    assert.equal(new Set(seen.ids).size, 1, `streams ${seen.ids}`);
    assert.equal(seen.other, "the first is still open");
  });

  test(`${as} closes the connection, and the session at weft ends`, async () => {
    const location = await inPage(({ server, role }) =>
      lab.calling(server, { role }, async (call) => {
        await lab.echo(call.channel, "hello");
        const { location } = call;
        call.peer.close();
        call.location = undefined;  // Nobody but the peer connection tells weft.
        return location;
      }), { role });
    assert.match(await weft.ended(location), /connection over; 1 messages/);
  });

  test(`${as} sees its channel close when weft ends the session`, async () => {
    const seen = await inPage(({ server, role }) => lab.calling(server, { role }, async (call) => {
      await lab.echo(call.channel, "hello");
      const closed = lab.next(call.channel, "close");
      const { status } = await fetch(call.location, { method: "DELETE" });
      await closed;
      return { status, state: call.channel.readyState };
    }), { role });
    assert.deepEqual(seen, { status: 200, state: "closed" });
  });
}
