// A purchase with Tab, Enter, Space and letters only.
import assert from "node:assert/strict";

import { ANA, shop, story } from "./shopper.mjs";

/** More stops than any page of the shop has. */
const STOPS_MAX = 150;

/** What has the focus, and whether one can see that it has. */
function focus(page) {
  return page.evaluate(() => {
    const element = document.activeElement;
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    const named = element.getAttribute("aria-label") ?? element.labels?.[0]?.innerText ?? element.innerText ?? "";
    return {
      tag: element.localName,
      name: named.trim(),
      field: element.getAttribute("name"),
      outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
      inSight:
        box.width >= 8 && box.height >= 8 && box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth,
    };
  });
}

/** Presses Tab until something with this name has the focus; every stop on the way must be visible. */
async function tabTo(page, name) {
  const passed = [];
  for (let stop = 0; stop < STOPS_MAX; stop += 1) {
    await page.keyboard.press("Tab");
    const now = await focus(page);
    passed.push(now.name || now.field || now.tag);
    if (now.tag === "body") continue;
    assert.ok(now.outlined && now.inSight, `the focus cannot be seen on ${JSON.stringify(now)} at ${page.url()}`);
    if (typeof name === "string" ? now.name === name || now.field === name : name.test(now.name)) return;
  }
  assert.fail(`Tab never came to ${name} at ${page.url()}; it came past ${passed.join(" · ")}`);
}

async function enterKey(shopper) {
  await shopper.click({ click: () => shopper.page.keyboard.press("Enter") });
}

for (const [device, viewport] of [
  ["a desk", { width: 1280, height: 900 }],
  ["a phone", { width: 390, height: 844 }],
]) {
  story(`with the keyboard alone, at ${device}: find, choose, order, pay`, async (enter) => {
    const shopper = await enter({ viewport });
    const { page } = shopper;
    await shopper.open("/");
    await tabTo(page, "Search the shop");
    await page.keyboard.type("sourdough");
    await enterKey(shopper);
    await tabTo(page, "Country sourdough");
    await enterKey(shopper);
    await tabTo(page, "sku");
    await page.keyboard.press("ArrowDown");
    assert.equal(await page.getByLabel("Whole loaf").isChecked(), true);
    await tabTo(page, "Put in the basket");
    await enterKey(shopper);
    await tabTo(page, "Look into the basket");
    await enterKey(shopper);
    await shopper.says("Country sourdough, Whole loaf");
    await tabTo(page, "To the till");
    await enterKey(shopper);
    for (const field of ["email", "name", "line1", "postal_code", "city"]) {
      await tabTo(page, field);
      await page.keyboard.type(ANA[field]);
    }
    await tabTo(page, "country");
    await page.keyboard.type("Austria");
    await tabTo(page, "See what it costs");
    await enterKey(shopper);
    await shopper.says("Austria");
    await tabTo(page, /^Order and pay/);
    await enterKey(shopper);
    await shopper.isAtOrder();
    await shopper.untilHeadline("Thank you, it is paid");
  });
}

story("the first stop of every page skips to its content", async (enter) => {
  const shopper = await enter();
  const { page } = shopper;
  for (const path of ["/", "/c/bakery", "/p/vine-tomatoes", "/search?q=bread", "/cart", "/account"]) {
    await shopper.open(path);
    await tabTo(page, "Skip to the content");
    await page.keyboard.press("Enter");
    await page.waitForURL(/#content$/);
    assert.equal(await page.evaluate(() => document.activeElement.id), "content", path);
    await page.keyboard.press("Tab");
    assert.ok(
      await page.evaluate(() => document.activeElement.closest("main, footer") !== null),
      `${path}: the next stop is inside`,
    );
  }
});

story("nothing holds the focus: Tab comes to the end of every page", async (enter) => {
  const shopper = await enter();
  await shopper.take("bananas");
  for (const path of ["/", "/p/country-sourdough", "/cart", "/checkout", "/account"]) {
    await shopper.open(path);
    await tabTo(shopper.page, "Your orders");
    assert.ok(shopper.page.url().startsWith(shop.storefront));
  }
});
