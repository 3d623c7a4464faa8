// A shop on free ports with a state folder of its own, opened and closed as an operator does it.
import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const workspace = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

// Programs are started, not built; but cargo may have to build xtask itself first.
const OPEN_WITHIN_MS = 300_000;
const CLOSED_WITHIN_MS = 90_000;
const LOOK_EVERY_MS = 50;

/**
 * Opens a shop, or takes the one that is open in `folder`. `card` is the file that says where everything is. The signal
 * `stopped` ends the waiting.
 */
export async function openShop(folder, stopped) {
  if (folder) {
    const card = resolve(folder, "up.json");
    if (!existsSync(card)) throw new Error(`No shop is open in ${resolve(folder)}.`);
    return { card, close: async () => {} };
  }
  // Named as the other suites name theirs, so that they sweep what a killed run left behind.
  const state = join(workspace, `.local/test/run-${process.pid}-browser`);
  mkdirSync(state, { recursive: true });
  const card = join(state, "up.json");
  const log = join(state, "up.log");
  const output = openSync(log, "w");
  const up = spawn("cargo", ["xtask", "up", "--prebuilt", "--free-ports", "--state", state], {
    cwd: workspace,
    stdio: ["ignore", output, output],
    // A group of its own: Ctrl-C reaches the shop through us, after the tests.
    detached: true,
  });
  closeSync(output);
  let ended;
  const gone = new Promise((done) => {
    up.on("error", (error) => done((ended = error.message)));
    up.on("exit", (code, signal) => done((ended = `it ended with ${code ?? signal}`)));
  });
  const close = async () => {
    if (ended === undefined) up.kill("SIGTERM");
    const patience = new AbortController();
    const late = pause(CLOSED_WITHIN_MS, "late", { signal: patience.signal }).catch(() => {});
    const how = await Promise.race([gone, late]);
    patience.abort();
    if (how === "late") {
      up.kill("SIGKILL");
      throw new Error(`The shop did not close; its folder stays: ${state}`);
    }
    rmSync(state, { recursive: true, force: true });
  };
  const deadline = Date.now() + OPEN_WITHIN_MS;
  while (!existsSync(card)) {
    if (ended !== undefined || stopped.aborted || Date.now() > deadline) {
      const why = ended ?? (stopped.aborted ? "interrupted" : "it takes too long");
      const told = readFileSync(log, "utf8");
      await close();
      throw new Error(`The shop does not open: ${why}\n${told}`);
    }
    await pause(LOOK_EVERY_MS);
  }
  return { card, close };
}
