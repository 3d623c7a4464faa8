// Opens a shop of the tests' own, lets the browser loose in it, closes it whatever came of it.
//
//   npm test                        every test, in a new shop on free ports
//   npm test -- keyboard.test.mjs   some of them
//   BODEGA_BROWSER_SHOP=../../.local npm test    in a shop that is open already, whose state folder this is
//
// The programs are those that were built last: `cargo xtask test browser` builds them first.
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { MISSING, findChromium } from "./chromium.mjs";
import { openShop } from "./shop.mjs";

const here = dirname(fileURLToPath(import.meta.url));

// Whoever stops us waits until the shop is closed.
const stopped = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => stopped.abort());

function runTests(shop) {
  const wished = process.argv.slice(2);
  const files = wished.length > 0 ? wished : readdirSync(here).filter((name) => name.endsWith(".test.mjs"));
  const child = spawn(
    process.execPath,
    // The files take turns: the machine is busy enough with the shop.
    ["--test", "--test-concurrency=1", "--test-reporter=spec", ...files.map((name) => resolve(here, name))],
    {
      cwd: here,
      stdio: ["ignore", "inherit", "inherit"],
      env: { ...process.env, BODEGA_BROWSER_CARD: shop.card, CHROMIUM: findChromium() },
    },
  );
  if (stopped.signal.aborted) child.kill("SIGTERM");
  stopped.signal.addEventListener("abort", () => child.kill("SIGTERM"));
  return new Promise((done) => child.on("exit", (code) => done(code ?? 1)));
}

if (findChromium() === undefined) {
  if (process.env.CHROMIUM) console.error(`The variable CHROMIUM says ${process.env.CHROMIUM}, which is no program.`);
  console.error(MISSING);
  process.exit(1);
}
try {
  const shop = await openShop(process.env.BODEGA_BROWSER_SHOP, stopped.signal);
  try {
    process.exitCode = await runTests(shop);
  } finally {
    await shop.close();
  }
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
