// Runs the worker in the real workerd, with its KV namespace and Durable Objects kept in a folder.
//
//   node run.mjs [--port 8790] [--data FOLDER] [--script FOLDER] [--var NAME=value]…
//
// Everything may also be said in the environment: BODEGA_WORKERD_PORT, BODEGA_WORKERD_DATA, BODEGA_WORKERD_SCRIPT, and
// each variable of the worker under its own name (EDGE_ID, NATS_URL …). Prints `READY http://127.0.0.1:<port>` when
// requests are served, and ends with SIGTERM, SIGINT, or when the process that started it closes its standard input
// (only when BODEGA_WORKERD_TIED is set: a terminal has none to close).
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const here = dirname(fileURLToPath(import.meta.url));
const workspace = resolve(here, "../..");

function fail(message) {
  console.error(`workerd: ${message}`);
  process.exit(1);
}

const { values } = parseArgs({
  options: {
    port: { type: "string", default: process.env.BODEGA_WORKERD_PORT ?? "8790" },
    data: { type: "string", default: process.env.BODEGA_WORKERD_DATA ?? join(workspace, ".local/edge-cloudflare") },
    script: {
      type: "string",
      default:
        process.env.BODEGA_WORKERD_SCRIPT ??
        join(resolve(workspace, process.env.CARGO_TARGET_DIR ?? "target"), "cloudflare"),
    },
    var: { type: "string", multiple: true, default: [] },
  },
});

// The variables that the worker reads; wrangler.toml lists the same ones.
const NAMES = [
  "EDGE_ID",
  "ACCOUNT_KEYS",
  "REPLICATION_KEYS",
  "GUEST_KEYS",
  "PUBLIC_ORIGIN",
  "MEDIA_ORIGIN",
  "NATS_URL",
  "NATS_USER",
  "NATS_PASSWORD",
  "NATS_TOKEN",
  "NATS_NKEY_SEED",
  "NATS_JWT",
  "NATS_INBOX_PREFIX",
  // Arms a path that panics: for tests.
  "PLANTED_PANIC",
];
const bindings = {};
for (const name of NAMES) {
  if (process.env[name]) bindings[name] = process.env[name];
}
for (const pair of values.var) {
  const [name, ...value] = pair.split("=");
  if (!NAMES.includes(name)) fail(`--var ${name}: not one of ${NAMES.join(", ")}`);
  bindings[name] = value.join("=");
}

const port = Number(values.port);
if (!Number.isInteger(port) || port < 0 || port > 65535) fail(`--port ${values.port}: not a port`);
for (const name of ["index.js", "index_bg.wasm"]) {
  if (!existsSync(join(values.script, name))) {
    fail(`no ${name} in ${values.script}: run \`cargo run -p bodega-worker-bundle\` first`);
  }
}

// The behaviour of the runtime is chosen by this date: the one that is deployed with.
const wrangler = readFileSync(join(workspace, "edge-workers/cloudflare/wrangler.toml"), "utf8");
const compatibilityDate = wrangler.match(/^compatibility_date = "([0-9-]+)"$/m)?.[1] ?? fail("no compatibility_date in wrangler.toml");

let miniflare;
try {
  miniflare = await import("miniflare");
} catch {
  fail("miniflare is not installed: run `npm ci` in tests/workerd first");
}
const { Log, LogLevel, Miniflare } = miniflare;

// workerd goes when this process goes, however that ends.
const guard = join(here, "guarded-workerd.sh");
if (process.platform === "linux" && existsSync("/usr/bin/setpriv")) {
  const ofMiniflare = createRequire(createRequire(import.meta.url).resolve("miniflare"));
  process.env.BODEGA_WORKERD_BINARY = ofMiniflare("workerd").default;
  process.env.MINIFLARE_WORKERD_PATH = guard;
}

mkdirSync(values.data, { recursive: true });
const server = new Miniflare({
  host: "127.0.0.1",
  port,
  log: new Log(LogLevel.WARN),
  // Miniflare would ask Cloudflare for a sample of this.
  cf: false,
  modulesRoot: values.script,
  modules: [
    { type: "ESModule", path: join(values.script, "index.js") },
    { type: "CompiledWasm", path: join(values.script, "index_bg.wasm") },
  ],
  compatibilityDate,
  kvNamespaces: ["EDGE_KV"],
  kvPersist: join(values.data, "kv"),
  durableObjects: {
    CELLS: { className: "Cell", useSQLite: true },
    CORE_LINK: { className: "CoreLink", useSQLite: true },
  },
  durableObjectsPersist: join(values.data, "durable-objects"),
  bindings,
});

async function stop() {
  await server.dispose();
  process.exit(0);
}
process.on("SIGTERM", stop);
process.on("SIGINT", stop);
if (process.env.BODEGA_WORKERD_TIED) process.stdin.on("end", stop).resume();

try {
  const address = await server.ready;
  console.log(`READY ${address.origin}`);
} catch (error) {
  fail(`${error}`);
}
