// Two peers of the browser that are told to use nothing but relays, and `weft turn-server`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, inPage, turn } from "./lib/setting.js";

/** Runs in the page: a call between two peers of it, and what became of it. */
async function call({ iceServers, size, count }) {
  const options = { iceServers, iceTransportPolicy: "relay" };
  const [a, b] = [new RTCPeerConnection(options), new RTCPeerConnection(options)];
  const errors = [];
  for (const [from, to] of [[a, b], [b, a]]) {
    from.onicecandidate = ({ candidate }) => candidate && to.addIceCandidate(candidate);
    from.onicecandidateerror = (e) => errors.push(`${e.url} ${e.errorCode} ${e.errorText}`);
  }
  b.ondatachannel = ({ channel }) => {
    channel.binaryType = "arraybuffer";
    channel.onmessage = ({ data }) => channel.send(data);
  };
  const channel = a.createDataChannel("through a relay");
  channel.binaryType = "arraybuffer";
  const done = new Promise((resolve, reject) => {
    let back = 0, intact = true;
    setTimeout(() => reject(new Error(`${a.iceConnectionState}, ${back} back; ${errors}`)), 25_000);
    channel.onopen = () => {
      for (let i = 0; i < count; ++i) channel.send(new Uint8Array(size).fill(i));
    };
    channel.onmessage = ({ data }) => {
      intact &&= data.byteLength === size && new Uint8Array(data).every((octet) => octet === back % 256);
      if (++back === count) resolve({ back, intact });
    };
  });
  await a.setLocalDescription();
  await b.setRemoteDescription(a.localDescription);
  await b.setLocalDescription();
  await a.setRemoteDescription(b.localDescription);
  const outcome = await done;
  const stats = [...(await a.getStats()).values()];
  const pair = stats.find((s) => s.type === "candidate-pair" && s.nominated && s.state === "succeeded");
  const candidate = (id) => stats.find((s) => s.id === id);
  outcome.local = candidate(pair.localCandidateId);
  outcome.remote = candidate(pair.remoteCandidateId);
  a.close();
  b.close();
  return outcome;
}

for (const over of ["udp", "tcp"]) {
  test(`${browser.name} calls itself through weft turn-server over ${over}`, async () => {
    const before = turn.allocations.length;
    const seen = await inPage(call, { iceServers: turn.ice(over), size: 10_000, count: 200 });
    assert.deepEqual([seen.back, seen.intact], [200, true]);
    assert.equal(seen.local.candidateType, "relay");
    assert.equal(seen.remote.candidateType, "relay");
    assert.equal(seen.local.relayProtocol, over);
    const made = turn.allocations.slice(before);
    assert.ok(made.length >= 2, `${made.length} allocations`);
    for (const allocation of made) assert.equal(allocation.protocol, over);
  });
}
