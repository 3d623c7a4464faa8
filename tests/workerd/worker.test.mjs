// What only the Cloudflare adapter does. What the shop does is tried by the end-to-end suite, against this edge too.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { connect, headers } from "@nats-io/transport-node";
import { certificate, eventually, Nats, scriptFolder, Worker } from "./harness.mjs";

// A command: its failures are the shopper's to know.
const SUBJECT = "identity.v1.register";
const REGISTER = {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ email: "a@example.org", password: "a long enough password", name: "A" }),
};
const ask = (worker) => worker.ask("/api/v1/register", REGISTER);
const REFUSAL = JSON.stringify({ failure: { code: "too_many_requests", detail: "From the service.", fields: [], retry_after_s: 7 } });

// A service that answers with a failure only it can have given, and remembers what it was asked.
async function service(t, url, options = {}) {
  const nats = await connect({ servers: url, ...options });
  t.after(() => nats.close());
  const asked = [];
  nats.subscribe(SUBJECT, {
    callback(_, message) {
      asked.push(message);
      message.respond(REFUSAL, { headers: headers() });
    },
  });
  await nats.flush();
  return asked;
}

// Time and layout of a request id, read as shared-domain/src/id.rs reads it.
function readId(id) {
  const body = id.match(/^req_([0-7][0-9abcdefghjkmnpqrstvwxyz]{25})$/)?.[1];
  assert.ok(body, `${id} is no request id`);
  const bits = [...body].reduce((bits, digit) => (bits << 5n) | BigInt("0123456789abcdefghjkmnpqrstvwxyz".indexOf(digit)), 0n);
  return { ms: Number(bits >> 80n), version: (bits >> 76n) & 0xfn, variant: (bits >> 62n) & 0b11n };
}

test("a request reaches a service over NATS, with the id that the shopper gets", async (t) => {
  const nats = await Nats.start(t);
  const asked = await service(t, nats.url);
  const worker = await Worker.start(t, { NATS_URL: nats.url });
  const answer = await ask(worker);
  assert.equal(answer.code, "too_many_requests");
  assert.equal(answer.detail, "From the service.");
  assert.equal(readId(answer.id).version, 7n);
  assert.deepEqual(asked.map((message) => message.headers.get("Bodega-Request-Id")), [answer.id]);
});

test("overlapping requests share one connection and get each their own answer", async (t) => {
  const nats = await Nats.start(t);
  const asked = await service(t, nats.url);
  const worker = await Worker.start(t, { NATS_URL: nats.url });
  const answers = await Promise.all(Array.from({ length: 64 }, () => ask(worker)));
  assert.deepEqual(new Set(answers.map((answer) => answer.code)), new Set(["too_many_requests"]));
  const ids = asked.map((message) => message.headers.get("Bodega-Request-Id"));
  assert.deepEqual(new Set(ids), new Set(answers.map((answer) => answer.id)));
  const inboxes = asked.map((message) => message.reply.slice(0, message.reply.lastIndexOf(".")));
  assert.equal(new Set(inboxes).size, 1, "one connection, one inbox");
  assert.match(inboxes[0], /^_INBOX\.edge-cloudflare\.[0-9a-f]{32}$/);
});

test("with the credentials of an edge it reads its own inbox; with wrong ones the answer is a typed problem", async (t) => {
  const nats = await Nats.start(
    t,
    `authorization { users: [
      { user: "edge-cloudflare", password: "right", permissions: { publish: ["${SUBJECT}"], subscribe: ["_INBOX.edge-cloudflare.>"] } }
      { user: "core", password: "core" } ] }`,
  );
  await service(t, nats.url, { user: "core", pass: "core" });
  for (const [password, code] of [["right", "too_many_requests"], ["wrong", "core_unavailable"]]) {
    const worker = await Worker.start(t, { NATS_URL: nats.url, NATS_USER: "edge-cloudflare", NATS_PASSWORD: password });
    const answer = await ask(worker);
    assert.equal(answer.code, code);
    assert.equal(answer.status, code === "too_many_requests" ? 429 : 503);
  }
});

test("tls:// is TLS from the first byte, with a certificate that is checked", async (t) => {
  const { key, cert } = certificate(t);
  const nats = await Nats.start(t, `tls { cert_file: "${cert}", key_file: "${key}", handshake_first: true }`);
  await service(t, nats.url, { tls: { handshakeFirst: true, caFile: cert } });
  const NATS_URL = nats.url.replace("127.0.0.1", "localhost");
  const trusting = await Worker.start(t, { NATS_URL, NODE_EXTRA_CA_CERTS: cert });
  assert.equal((await ask(trusting)).code, "too_many_requests");
  const wary = await Worker.start(t, { NATS_URL });
  assert.equal((await ask(wary)).code, "core_unavailable", "an unknown certificate is refused");
  const plain = await Worker.start(t, { NATS_URL: nats.url.replace("tls:", "nats:") });
  assert.equal((await ask(plain)).code, "core_unavailable", "a server that wants TLS gets no credentials without");
});

test("NATS killed: a typed problem, and once it is back the next request is served", async (t) => {
  const nats = await Nats.start(t);
  await service(t, nats.url, { maxReconnectAttempts: -1, reconnectTimeWait: 20 });
  const worker = await Worker.start(t, { NATS_URL: nats.url });
  assert.equal((await ask(worker)).code, "too_many_requests");
  await nats.kill();
  const away = await ask(worker);
  assert.deepEqual([away.status, away.code, away.media], [503, "core_unavailable", "application/problem+json"]);
  await nats.restart();
  await eventually("the service answers again", async () => (await ask(worker)).code === "too_many_requests");
});

test("a service that is silent leaves the outcome unknown; one that is absent surely did nothing", async (t) => {
  const nats = await Nats.start(t);
  const listener = await connect({ servers: nats.url });
  t.after(() => listener.close());
  const worker = await Worker.start(t, { NATS_URL: nats.url });
  const absent = await ask(worker);
  assert.deepEqual([absent.status, absent.code], [503, "core_unavailable"]);
  const heard = [];
  listener.subscribe(SUBJECT, { callback: (_, message) => heard.push(message) });
  await listener.flush();
  const silent = await ask(worker);
  assert.equal(heard.length, 1, "asked once, and not again without being told to");
  assert.deepEqual([silent.status, silent.code], [202, "outcome_unknown"]);
});

test("a panic costs the requests of its instance only: they get a problem, and the next are served", async (t) => {
  const nats = await Nats.start(t);
  await service(t, nats.url);
  const worker = await Worker.start(t, { NATS_URL: nats.url, PLANTED_PANIC: "1" });
  const ids = new Set();
  for (const path of ["/_edge/v1/planted-panic", "/_edge/v1/planted-panic/late"]) {
    assert.equal((await ask(worker)).code, "too_many_requests");
    const began = Date.now();
    const broken = await worker.ask(path);
    assert.deepEqual([broken.status, broken.code, broken.media], [500, "internal", "application/problem+json"], path);
    assert.ok(!JSON.stringify(broken).includes("planted"), "nothing of the inside is told");
    const { ms, version, variant } = readId(broken.id);
    assert.deepEqual([broken.request_id, version, variant], [broken.id, 7n, 0b10n]);
    assert.ok(ms >= began && ms <= Date.now(), `${ms} is the time of the request`);
    ids.add(broken.id);
    assert.equal((await ask(worker)).code, "too_many_requests", "a new instance, a new link");
    assert.equal((await worker.fetch("/api/v1/cart")).status, 200, "cells too");
  }
  assert.equal(ids.size, 2);
});

test("a path that panics is there for nobody who did not ask for it", async (t) => {
  const worker = await Worker.start(t, {});
  assert.equal((await worker.fetch("/_edge/v1/planted-panic")).status, 404);
});

test("hostile requests are problems and not traps", async (t) => {
  const worker = await Worker.start(t, {});
  const json = { "content-type": "application/json" };
  for (const [path, options, status] of [
    ["/api/v1/session", { method: "POST", headers: json, body: "{" }, 400],
    ["/api/v1/session", { method: "POST", headers: json, body: Buffer.alloc(5 * 1024 * 1024, 32) }, 413],
    ["/_edge/v1/ingest", { method: "POST", body: Buffer.alloc(4096, 255) }, 401],
    ["/api/v1/cart", { headers: { cookie: "bodega_cart=\xff\xfe; bodega_session=g1..." } }, 200],
    ["/api/v1/%ff%00", {}, 404],
    ["/api/v1/nothing", { method: "QUERY" }, 404],
  ]) {
    const response = await worker.fetch(path, options);
    assert.equal(response.status, status, path);
    if (status >= 400) assert.equal(response.headers.get("content-type"), "application/problem+json", path);
  }
});

test("workerd ends with its runner, however that ends", { skip: process.platform !== "linux" }, async (t) => {
  const worker = await Worker.start(t, {});
  const runner = `${worker.child.process.pid}`;
  const parentOf = (pid) => readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /, "").split(" ")[1];
  const children = readdirSync("/proc").filter((pid) => {
    try {
      return /^\d+$/.test(pid) && parentOf(pid) === runner;
    } catch {
      return false;
    }
  });
  assert.ok(children.length > 0, "workerd is a child of the runner");
  await worker.child.stop("SIGKILL");
  await eventually("workerd is gone", () => children.every((pid) => !existsSync(`/proc/${pid}/exe`)));
});

test("what is deployed is what is tried: wrangler.toml names the same bindings and variables", () => {
  const wrangler = readFileSync(new URL("../../edge-workers/cloudflare/wrangler.toml", import.meta.url), "utf8");
  const runner = readFileSync(new URL("./run.mjs", import.meta.url), "utf8");
  const names = runner.match(/const NAMES = \[([^\]]*)\]/)[1].match(/[A-Z_]{4,}/g).filter((name) => name !== "PLANTED_PANIC");
  assert.ok(names.length >= 13);
  for (const name of names) assert.ok(wrangler.includes(name), `${name} is not in wrangler.toml`);
  for (const [, name, className] of runner.matchAll(/(\w+): \{ className: "(\w+)"/g)) {
    assert.ok(wrangler.includes(`{ name = "${name}", class_name = "${className}" }`), name);
  }
  assert.ok(wrangler.includes('binding = "EDGE_KV"'));
});

test("the worker imports the runtime's sockets and objects, its own WebAssembly, and nothing else", (t) => {
  const script = readFileSync(join(scriptFolder, "index.js"), "utf8");
  const imports = [...script.matchAll(/\bimport\b[^"'`;]*["'`]([^"'`]+)["'`]/g)].map((found) => found[1]).sort();
  t.diagnostic(`imports: ${imports.join(", ")}`);
  assert.deepEqual(imports, ["./index_bg.wasm", "cloudflare:sockets", "cloudflare:workers"]);
  assert.ok(!/\beval\(|new Function\(/.test(script), "no code is made at run time");
});
