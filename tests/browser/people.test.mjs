// Accounts, guests and their links, names of all scripts, and addresses that lead nowhere.
import assert from "node:assert/strict";

import { ANA, newEmail, story } from "./shopper.mjs";

const PASSWORD = "nine lives and one more";

story("registered, signed out, signed in on another device: the basket is there", async (enter) => {
  const email = newEmail();
  const atHome = await enter();
  await atHome.take("vine-tomatoes", 3);
  await atHome.register("Ana", email, PASSWORD);
  assert.equal(await atHome.headline(), "Hello, Ana");
  assert.equal(await atHome.units(), 3, "what a guest chose is not lost by registering");
  await atHome.click(atHome.button("Sign out"));
  assert.equal(await atHome.headline(), "Your corner");
  assert.equal(await atHome.units(), 0, "the next person at this browser sees nothing of it");

  const onTheTrain = await enter({ viewport: { width: 390, height: 844 } });
  await onTheTrain.take("bananas");
  await onTheTrain.signIn(email, PASSWORD);
  assert.equal(await onTheTrain.headline(), "Hello, Ana");
  await onTheTrain.open("/cart");
  await onTheTrain.says("Vine tomatoes");
  await onTheTrain.says("Bananas");
  assert.equal(await onTheTrain.units(), 4);
  await onTheTrain.order("card_ok", { ...ANA, email });

  const backHome = await enter();
  await backHome.signIn(email, PASSWORD);
  assert.equal(await backHome.page.locator(".orders li").count(), 1);
  await backHome.open("/cart");
  await backHome.says("Nothing in it yet.");
});

story("a wrong password is refused without saying which of the two was wrong", async (enter) => {
  const shopper = await enter();
  const said = [];
  for (const email of ["shopper@bodega.example", newEmail()]) {
    await shopper.signIn(email, "not the password");
    said.push(await shopper.page.getByRole("alert").innerText());
    assert.equal(await shopper.page.locator("#si-email").inputValue(), email);
  }
  assert.equal(said[0], said[1]);
});

story("a guest's order is found again through its link, and through nothing else", async (enter) => {
  const guest = await enter();
  await guest.take("bananas");
  await guest.order("card_ok");
  await guest.untilHeadline("Thank you, it is paid");
  const order = new URL(guest.page.url()).pathname;
  const link = await guest.link("this link").getAttribute("href");

  const friend = await enter();
  await friend.open(order, 404);
  await friend.open(link);
  assert.equal(new URL(friend.page.url()).pathname, order, "the secret does not stay in the address");
  assert.equal(await friend.headline(), "Thank you, it is paid");
  await friend.says("You are looking through the order's link.");

  const stranger = await enter();
  await stranger.open(`${link.slice(0, -1)}${link.endsWith("0") ? "1" : "0"}`, 404);

  await friend.page.getByText("Call the order off").click();
  await friend.page.getByLabel("The e-mail that you ordered with").fill("somebody.else@example.org");
  await friend.click(friend.button("Yes, call it off"));
  assert.match(await friend.page.getByRole("alert").innerText(), /not the e-mail of the order/);

  await guest.page.getByText("Somebody else has the link").click();
  await guest.click(guest.button("Make a new link"));
  const another = await guest.link("this link").getAttribute("href");
  assert.notEqual(another, link);
  await friend.open(order, 404);
  await stranger.open(link, 404);

  await friend.open(another);
  await friend.page.getByText("Call the order off").click();
  await friend.page.getByLabel("The e-mail that you ordered with").fill(ANA.email.toUpperCase());
  await friend.click(friend.button("Yes, call it off"));
  await friend.untilHeadline("This order was called off");
});

story("who ordered as a guest and opens an account finds the order there", async (enter) => {
  const shopper = await enter({ viewport: { width: 390, height: 844 } });
  const email = newEmail();
  await shopper.take("bananas");
  await shopper.order("card_ok", { ...ANA, email });
  await shopper.untilHeadline("Thank you, it is paid");
  const order = new URL(shopper.page.url()).pathname;
  await shopper.register("Ana", email, PASSWORD);
  assert.equal(await shopper.page.locator(".orders li").count(), 1);

  const elsewhere = await enter();
  await elsewhere.signIn(email, PASSWORD);
  await elsewhere.open(order);
  assert.equal(await elsewhere.headline(), "Thank you, it is paid");
  await elsewhere.saysNot("Somebody else has the link");
});

story("names with pictures, and from right to left, are written as they were typed", async (enter) => {
  const people = [
    { who: { name: "Zoë 👩‍🍳 O’Neil", line1: "Çınar Sokağı 7 🌳", city: "Łódź" }, direction: "ltr" },
    { who: { name: "أحمد الكاتب 🌷", line1: "شارع النخيل ١٢", city: "برلين" }, direction: "rtl" },
    { who: { name: "שרה לוי", line1: "רחוב הרצל 3", city: "ברלין" }, direction: "rtl" },
    { who: { name: "山田 花子 🍙", line1: "銀座1-2-3", city: "東京" }, direction: "ltr" },
  ];
  for (const { who, direction } of people) {
    const shopper = await enter();
    await shopper.take("bananas");
    await shopper.fillInAddress({ ...ANA, ...who });
    const envelope = shopper.page.locator("address");
    const lines = (await envelope.innerText()).split("\n").map((line) => line.trim());
    assert.deepEqual(lines.slice(0, 3), [who.name, who.line1, `${ANA.postal_code} ${who.city}`]);
    assert.equal(await envelope.evaluate((element) => getComputedStyle(element).direction), direction, who.name);
    // Also after the form went round once more.
    await shopper.click(shopper.button("Change where it goes"));
    assert.equal(await shopper.page.locator("input[name=name]").inputValue(), who.name);
    await shopper.click(shopper.button("See what it costs"));
    await shopper.click(shopper.button(/^Order and pay/));
    await shopper.untilHeadline("Thank you, it is paid");
    await shopper.register(who.name, newEmail(), PASSWORD);
    assert.equal(await shopper.headline(), `Hello, ${who.name}`);
  }
});

story("what was typed is text, never a part of the page", async (enter) => {
  const shopper = await enter({ javaScriptEnabled: true });
  const nasty = `<img src=x onerror="document.title='owned'">"'><script>document.title='owned'</script>`;
  await shopper.open(`/search?q=${encodeURIComponent(nasty)}`);
  await shopper.says(nasty);
  assert.notEqual(await shopper.page.title(), "owned");
  await shopper.take("bananas");
  await shopper.fillInAddress({ ...ANA, name: nasty.slice(0, 60) });
  await shopper.says(nasty.slice(0, 60));
  assert.notEqual(await shopper.page.title(), "owned");
});

story("search finds by words and by their beginnings, and says when there is nothing", async (enter) => {
  const shopper = await enter();
  await shopper.open("/");
  const field = shopper.page.getByRole("searchbox", { name: "Search the shop" });
  const found = (title) => shopper.page.getByRole("heading", { name: title, exact: true });
  await field.fill("sourdough");
  await shopper.click(shopper.button("Search"));
  assert.equal(await found("Country sourdough").count(), 1);
  assert.equal(await field.inputValue(), "sourdough");
  await field.fill("TOMAT");
  await shopper.click({ click: () => field.press("Enter") });
  assert.equal(await found("Vine tomatoes").count(), 1);
  // Out of the list straight into the basket, and still on the list.
  await shopper.click(shopper.button("Add Vine tomatoes to the basket"));
  assert.equal(await shopper.units(), 1);
  assert.equal(await field.inputValue(), "TOMAT");
  await field.fill("xyzzy");
  await shopper.click({ click: () => field.press("Enter") });
  await shopper.says("Nothing on our shelves answers to that.");
});

story("a long shelf goes on, and shows nothing twice", async (enter) => {
  const shopper = await enter();
  await shopper.open("/c/all");
  const seen = [];
  for (;;) {
    seen.push(...(await shopper.page.locator(".shelf .card").evaluateAll((cards) => cards.map((card) => card.id))));
    const more = shopper.page.locator(".more a, .pager a[rel=next]");
    if ((await more.count()) === 0) break;
    await shopper.click(more);
  }
  assert.ok(seen.length > 100, `${seen.length} products`);
  assert.equal(new Set(seen).size, seen.length);
});

story("an empty basket, a missing page, a product that is sold out", async (enter) => {
  const shopper = await enter();
  await shopper.open("/cart");
  await shopper.says("Nothing in it yet.");
  for (const path of ["/nowhere", "/p/nothing-of-the-kind", "/c/nothing-of-the-kind", "/orders/nonsense"]) {
    await shopper.open(path, 404);
    assert.equal(await shopper.headline(), "We could not find that");
    assert.equal(await shopper.link("Back to the shop").getAttribute("href"), "/");
  }
  await shopper.open("/p/water-lotus");
  await shopper.says("Sold out");
  await shopper.says("Nothing of this can be bought just now.");
  assert.equal(await shopper.button("Put in the basket").count(), 0);
});
