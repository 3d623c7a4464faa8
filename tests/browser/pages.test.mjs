// Every page, at three widths, by day and by night: what a script can say of how it is to use.
import assert from "node:assert/strict";

import { look } from "./look.mjs";
import { ANA, newEmail, shop, story } from "./shopper.mjs";

const WIDTHS = [320, 390, 1280];
const FINGER_PX = 40;

/** Collects what is wrong with the page, in all widths and both colour schemes. */
async function judge(shopper, name, found, frame = {}) {
  for (const width of WIDTHS) {
    await shopper.page.setViewportSize({ width, height: 850 });
    for (const colorScheme of ["light", "dark"]) {
      await shopper.page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      for (const wrong of await shopper.page.evaluate(look, { phone: width < 1000, fingerPx: FINGER_PX, ...frame })) {
        const said = found.get(`${name}: ${wrong}`) ?? new Set();
        found.set(`${name}: ${wrong}`, said.add(`${width} ${colorScheme}`));
      }
    }
  }
}

function assertNothing(found) {
  const list = [...found].map(([wrong, where]) => `${wrong}   (${[...where].join(", ")})`);
  assert.ok(list.length === 0, `\n${list.join("\n")}`);
}

story("pages to look at: names, landmarks, colours, sizes, no sideways scrolling", async (enter) => {
  const shopper = await enter();
  const found = new Map();
  for (const [path, status] of [
    ["/", 200],
    ["/c/bakery", 200],
    ["/c/all", 200],
    ["/p/country-sourdough", 200],
    ["/p/vine-tomatoes", 200],
    ["/p/water-lotus", 200],
    ["/search?q=bread", 200],
    ["/search?q=", 200],
    ["/search?q=xyzzy", 200],
    ["/cart", 200],
    ["/account", 200],
    ["/nowhere", 404],
  ]) {
    await shopper.open(path, status);
    await judge(shopper, path, found);
  }
  assertNothing(found);
});

story("pages of somebody who buys: the same", async (enter) => {
  const shopper = await enter();
  const found = new Map();
  await shopper.take("country-sourdough", 2);
  await judge(shopper, "added", found);
  await shopper.take("teddy-bear");
  await shopper.open("/cart");
  await judge(shopper, "basket", found);
  await shopper.page.getByLabel("A code?").fill("NO-SUCH-CODE");
  await shopper.click(shopper.button("Add"));
  await judge(shopper, "basket with a code", found);
  await shopper.open("/checkout");
  await judge(shopper, "till", found);
  await shopper.fillInAddress({ ...ANA, email: "ana@example" });
  await judge(shopper, "till with a mistake", found);
  await shopper.fillInAddress();
  await shopper.page.getByText("Test cards that misbehave").click();
  await judge(shopper, "total", found);
  await shopper.chooseCard("card_challenge");
  await shopper.click(shopper.button(/^Order and pay/));
  await shopper.untilHeadline("Your bank wants a word");
  await judge(shopper, "order that waits", found);
  await shopper.chooseCard("card_refused");
  await shopper.click(shopper.button(/^Pay €/));
  await shopper.untilHeadline("The card was refused");
  await shopper.page.getByText("Call the order off").click();
  await judge(shopper, "order that was refused", found);
  await shopper.chooseCard("card_ok");
  await shopper.click(shopper.button(/^Pay €/));
  await shopper.untilHeadline("Thank you, it is paid");
  await shopper.page.getByText("Somebody else has the link").click();
  await judge(shopper, "order that is paid", found);
  const friend = await enter();
  await friend.open(await shopper.link("this link").getAttribute("href"));
  await friend.page.getByText("Call the order off").click();
  await judge(friend, "order through its link", found);
  await shopper.open("/account");
  await shopper.page.getByText("New here? Open an account").click();
  await judge(shopper, "door", found);
  await shopper.register("Ana", newEmail(), "nine lives and one more");
  await shopper.page.getByText("Name and address").click();
  await judge(shopper, "account", found);
  assertNothing(found);
});

story("long words, many things: nothing runs out of a narrow page", async (enter) => {
  const shopper = await enter({ viewport: { width: 320, height: 640 } });
  const found = new Map();
  const long = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft".slice(0, 80);
  await shopper.take("laundry-basket", 40);
  await shopper.take("celebration-cake", 30);
  await shopper.open("/cart");
  await judge(shopper, "basket", found);
  await shopper.fillInAddress({ ...ANA, name: long, line1: long, city: long.slice(0, 60) });
  await judge(shopper, "total", found);
  await shopper.open(`/search?q=${encodeURIComponent(long)}`);
  await judge(shopper, "search", found);
  await shopper.register(long, newEmail(), "nine lives and one more");
  await judge(shopper, "account", found);
  assertNothing(found);
});

/** Dashboards have a menu once somebody is signed in, and no search in their frame. */
const DOOR = { searches: [0, 0], navs: [0, 0] };
const DESK = { searches: [0, 1], navs: [1, 9] };

for (const [desk, role, own] of [
  ["/admin", "admin", ["/products/country-sourdough", "/services", "/sagas"]],
  ["/merchant", "merchant", ["/products/vine-tomatoes"]],
]) {
  story(`pages of the desk at ${desk}: names, landmarks, colours, sizes, no sideways scrolling`, async (enter) => {
    // An order to look at, with something of this merchant in it.
    const shopper = await enter();
    await shopper.take("vine-tomatoes", 2);
    await shopper.order("card_ok");
    await shopper.untilHeadline("Thank you, it is paid");

    const found = new Map();
    const clerk = await enter({ baseURL: shop.gateway });
    await clerk.open(`${desk}/orders`);
    assert.equal(new URL(clerk.page.url()).pathname, `${desk}/sign-in`, "nobody looks in who has not signed in");
    await judge(clerk, "door", found, DOOR);
    const login = shop.logins.find((login) => login.role === role);
    await clerk.signInAtDesk(login.email, "not the password");
    await clerk.page.getByRole("alert").waitFor();
    await judge(clerk, "door, refused", found, DOOR);
    await clerk.signInAtDesk(login.email, login.password);
    assert.equal(new URL(clerk.page.url()).pathname, `${desk}/orders`, "on to where they wanted to go");

    for (const path of ["", "/orders", "/returns", "/products", "/stock", "/plugins", ...own]) {
      await clerk.open(`${desk}${path}`);
      await judge(clerk, `${desk}${path}`, found, DESK);
    }
    await clerk.open(`${desk}/nowhere`, 404);
    await judge(clerk, "nothing there", found, DESK);
    await clerk.open(`${desk}/orders`);
    await clerk.click(clerk.page.locator("tbody th a").first());
    assert.match(new URL(clerk.page.url()).pathname, /\/orders\/ord_[0-9a-z]{26}$/);
    await judge(clerk, "an order", found, DESK);
    await clerk.click(clerk.button("Sign out"));
    await clerk.open(`${desk}/orders`);
    assert.equal(new URL(clerk.page.url()).pathname, `${desk}/sign-in`, "signed out");
    assertNothing(found);
  });
}
