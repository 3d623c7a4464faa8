// A shopper with a browser: where to click, what to type, and what the browser complained about meanwhile.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { after, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

import { FLAGS, findChromium } from "./chromium.mjs";

const workspace = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const PICTURES = join(resolve(workspace, process.env.CARGO_TARGET_DIR ?? "target"), "browser");
/** Longer than a busy machine needs for a page, a webhook, a change of the catalogue. */
const PATIENCE_MS = 30_000;
const LOOK_EVERY_MS = 100;

const card = JSON.parse(readFileSync(process.env.BODEGA_BROWSER_CARD, "utf8"));
/** Addresses of the shop under test. */
export const shop = {
  storefront: card.edges[0],
  gateway: card.gateway,
  simulator: card.simulator,
  mailCatcher: card.mail_catcher,
  logins: card.logins,
};

let browser;
after(async () => {
  await browser?.close();
});

/** Waits until `holds` is true. */
export async function until(what, holds) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    if (await holds()) return;
    if (Date.now() > deadline) assert.fail(`waited ${PATIENCE_MS / 1000} s in vain until ${what}`);
    await pause(LOOK_EVERY_MS);
  }
}

/** Somebody who is nobody's customer yet: an address for the letterbox. */
export const ANA = {
  email: "ana@example.org",
  name: "Ana Petrović",
  line1: "Lindenweg 4",
  postal_code: "10115",
  city: "Berlin",
  country: "DE",
};

/** An e-mail address that nobody has had before. */
export function newEmail() {
  return `shopper-${crypto.randomUUID()}@example.org`;
}

/**
 * A test in which shoppers come to the shop. `enter(options)` lets one more in, with cookies of their own; scripts are
 * off unless the options say otherwise. In the end no browser may have complained about anything.
 */
export function story(name, play) {
  test(name, async () => {
    browser ??= await chromium.launch({ executablePath: findChromium(), args: FLAGS });
    const shoppers = [];
    const enter = async (options = {}) => {
      const context = await browser.newContext({
        baseURL: shop.storefront,
        javaScriptEnabled: false,
        viewport: { width: 1280, height: 900 },
        ...options,
      });
      context.setDefaultTimeout(PATIENCE_MS);
      const shopper = new Shopper(await context.newPage());
      shoppers.push(shopper);
      return shopper;
    };
    try {
      await play(enter);
      for (const shopper of shoppers) assert.deepEqual(shopper.complaints, []);
    } catch (error) {
      mkdirSync(PICTURES, { recursive: true });
      for (const [number, shopper] of shoppers.entries()) {
        const path = join(PICTURES, `${name.replace(/\W+/g, "-").slice(0, 80)}-${number}.png`);
        await shopper.page.screenshot({ path, fullPage: true }).then(
          () => console.error(`what shopper ${number} saw last, at ${shopper.page.url()}: ${path}`),
          () => {},
        );
      }
      throw error;
    } finally {
      for (const shopper of shoppers) await shopper.page.context().close();
    }
  });
}

class Shopper {
  constructor(page) {
    this.page = page;
    /** What the browser's console said in red: blocked by the policy, missing pictures, broken scripts. */
    this.complaints = [];
    const refusedPages = new Set();
    page.on("response", (response) => {
      if (response.status() < 400) return;
      // A page that says no is what some stories are about; their own assertions look at it.
      if (response.request().resourceType() === "document") refusedPages.add(response.url());
      else this.complaints.push(`${response.status()} ${response.url()}`);
    });
    page.on("console", (message) => {
      const ours = [shop.storefront, shop.gateway].some((origin) => page.url().startsWith(origin));
      if (message.type() !== "error" || !ours) return;
      if (message.text().startsWith("Failed to load resource") && refusedPages.has(message.location().url)) return;
      this.complaints.push(`${message.text()} ${message.location().url}`);
    });
    page.on("pageerror", (error) => this.complaints.push(String(error)));
  }

  /** Opens an address of the shop and asserts the status. */
  async open(path, status = 200) {
    const response = await this.page.goto(path);
    assert.equal(response.status(), status, path);
  }

  link(name) {
    return this.page.getByRole("link", { name });
  }

  button(name) {
    return this.page.getByRole("button", { name });
  }

  /** Clicks, and stays until the next page is there. */
  async click(locator) {
    const loaded = this.page.waitForEvent("load");
    // A click that fails says so itself.
    loaded.catch(() => {});
    await locator.click();
    await loaded;
  }

  async headline() {
    return (await this.page.locator("h1").innerText()).trim();
  }

  /** Everything that can be read on the page. */
  async text() {
    return (await this.page.locator("body").innerText()).replaceAll("\u00a0", " ");
  }

  async says(what) {
    const text = await this.text();
    if (what instanceof RegExp) assert.match(text, what);
    else assert.ok(text.includes(what), `the page does not say “${what}”:\n${text}`);
  }

  async saysNot(what) {
    const text = await this.text();
    assert.ok(!text.includes(what), `the page says “${what}”:\n${text}`);
  }

  /** The number on the basket. */
  async units() {
    const count = this.page.locator("header .count");
    return (await count.count()) === 0 ? 0 : Number(await count.innerText());
  }

  /** Puts something into the basket from its own page. */
  async take(slug, quantity = 1) {
    await this.open(`/p/${slug}`);
    await this.page.getByLabel("How many").fill(String(quantity));
    await this.click(this.button("Put in the basket"));
  }

  /** From the basket to the page with the sum. */
  async fillInAddress(who = ANA) {
    await this.open("/checkout");
    for (const [name, value] of Object.entries(who)) {
      if (name === "country") await this.page.locator("select[name=country]").selectOption(value);
      else await this.page.locator(`input[name=${name}]`).fill(value);
    }
    await this.click(this.button("See what it costs"));
  }

  async chooseCard(method) {
    const choice = this.page.locator(`input[name=method][value=${method}]`);
    if (!(await choice.isVisible())) await this.page.getByText("Test cards that misbehave").click();
    await choice.check();
  }

  /** Orders what is in the basket; ends at the page of the order. */
  async order(method, who = ANA) {
    await this.fillInAddress(who);
    await this.chooseCard(method);
    await this.click(this.button(/^Order and pay/));
    await this.isAtOrder();
  }

  async isAtOrder() {
    assert.match(new URL(this.page.url()).pathname, /^\/orders\/ord_[0-9a-z]{26}$/);
  }

  /** Looks at the order again and again until its headline is this one. */
  async untilHeadline(wanted) {
    let seen;
    await until(`the headline is “${wanted}”`, async () => {
      seen = await this.headline();
      if (seen === wanted) return true;
      await this.page.reload();
      return false;
    });
  }

  async register(name, email, password) {
    await this.open("/account");
    await this.page.getByText("New here? Open an account").click();
    await this.page.locator("#re-name").fill(name);
    await this.page.locator("#re-email").fill(email);
    await this.page.locator("#re-password").fill(password);
    await this.click(this.button("Open an account"));
  }

  /** Signs in at the form that is open. */
  async signInAtDesk(email, password) {
    await this.page.getByLabel("E-mail").fill(email);
    await this.page.getByLabel("Password").fill(password);
    await this.click(this.button("Sign in"));
  }

  async signIn(email, password) {
    await this.open("/account");
    await this.page.locator("#si-email").fill(email);
    await this.page.locator("#si-password").fill(password);
    await this.click(this.button("Sign in"));
  }
}
