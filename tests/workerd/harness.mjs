// Real servers for the tests of this folder: nats-server and the worker in workerd, each with its own port and folder.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as wait } from "node:timers/promises";
import { selfSigned } from "./certificate.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const DEADLINE_MS = 30_000;

// The built worker, where the runner looks for it too.
export const scriptFolder =
  process.env.BODEGA_WORKERD_SCRIPT ?? join(resolve(here, "../..", process.env.CARGO_TARGET_DIR ?? "target"), "cloudflare");

// Asks `condition` until it gives something, and fails with what was awaited.
export async function eventually(what, condition) {
  const until = Date.now() + DEADLINE_MS;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > until) throw new Error(`not within ${DEADLINE_MS / 1000} s: ${what}`);
    await wait(20);
  }
}

function natsServer() {
  if (process.env.NATS_SERVER) return process.env.NATS_SERVER;
  const onPath = (process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, "nats-server"));
  const tools = resolve(here, "../../.local/tools");
  const fetched = existsSync(tools)
    ? readdirSync(tools, { recursive: true }).filter((name) => name.endsWith("/nats-server")).map((name) => join(tools, name))
    : [];
  const found = [...onPath, ...fetched].find(existsSync);
  if (!found) {
    throw new Error("no nats-server: set NATS_SERVER, put it on the PATH, or run `cargo xtask test workerd`, which fetches it");
  }
  return found;
}

// A process that ends with the test, its output in `log`.
class Child {
  constructor(program, args, options = {}) {
    this.log = "";
    this.process = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
    this.ended = new Promise((done) => this.process.once("exit", done));
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => (this.log += text));
    }
  }

  async said(pattern) {
    const { found } = await eventually(`${pattern} in the output`, () => {
      const found = this.log.match(pattern);
      if (!found && this.process.exitCode !== null) throw new Error(`it ended:\n${this.log}`);
      return found && { found };
    });
    return found;
  }

  async stop(signal = "SIGTERM") {
    this.process.kill(signal);
    await this.ended;
  }
}

// Files with a certificate for 127.0.0.1 and localhost, signed by itself.
export function certificate(t) {
  const folder = mkdtempSync(join(tmpdir(), "bodega-workerd-tls-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const made = selfSigned();
  const [key, cert] = ["key", "cert"].map((name) => {
    const file = join(folder, `${name}.pem`);
    writeFileSync(file, made[name]);
    return file;
  });
  return { key, cert };
}

export class Nats {
  // With a configuration for credentials, or open to all.
  static async start(t, configuration = "") {
    const nats = new Nats();
    nats.folder = mkdtempSync(join(tmpdir(), "bodega-workerd-nats-"));
    nats.file = join(nats.folder, "server.conf");
    writeFileSync(nats.file, configuration);
    t.after(async () => {
      await nats.child?.stop("SIGKILL");
      rmSync(nats.folder, { recursive: true, force: true });
    });
    await nats.run(-1);
    return nats;
  }

  // -1: the server takes any free port and writes down which.
  async run(port) {
    this.child = new Child(natsServer(), ["-a", "127.0.0.1", "-p", `${port}`, "-c", this.file, "--ports_file_dir", this.folder]);
    const file = join(this.folder, `nats-server_${this.child.process.pid}.ports`);
    this.url = await eventually("the port of nats-server", () => {
      if (this.child.process.exitCode !== null) throw new Error(`nats-server ended:\n${this.child.log}`);
      return existsSync(file) && readFileSync(file, "utf8").match(/(nats|tls):\/\/[0-9.:]+/)?.[0];
    });
  }

  async kill() {
    await this.child.stop("SIGKILL");
  }

  async restart() {
    await this.run(new URL(this.url).port);
  }
}

export class Worker {
  static async start(t, variables, data) {
    const worker = new Worker();
    worker.folder = data ?? mkdtempSync(join(tmpdir(), "bodega-workerd-"));
    t.after(async () => {
      await worker.child.stop();
      rmSync(worker.folder, { recursive: true, force: true });
    });
    const env = { ...process.env };
    // What a developer's shell may hold must not reach the worker.
    for (const name of Object.keys(env)) if (/^(NATS_(?!SERVER)|EDGE_|GUEST_|ACCOUNT_|REPLICATION_|BODEGA_WORKERD_(PORT|DATA))/.test(name)) delete env[name];
    Object.assign(env, { EDGE_ID: "edge-cloudflare", GUEST_KEYS: `k1:${"A".repeat(43)}` }, variables);
    worker.child = new Child(process.execPath, [join(here, "run.mjs"), "--port", "0", "--data", worker.folder], { env });
    worker.origin = (await worker.child.said(/READY (http:\S+)/))[1];
    return worker;
  }

  fetch(path, options = {}) {
    return fetch(this.origin + path, { redirect: "manual", signal: AbortSignal.timeout(DEADLINE_MS), ...options });
  }

  // Status, code of the problem, and the request's id.
  async ask(path, options) {
    const response = await this.fetch(path, options);
    const body = await response.json();
    return { ...body, status: response.status, media: response.headers.get("content-type"), id: response.headers.get("bodega-request-id") };
  }
}
