// Buying, as people do it: with scripts off, with cards that are refused, with second thoughts.
import assert from "node:assert/strict";

import { ANA, shop, story } from "./shopper.mjs";

const PAID = "Thank you, it is paid";

story("without a script: from the home page over a kind of bread to an order that is paid", async (enter) => {
  const shopper = await enter();
  await shopper.open("/");
  await shopper.click(shopper.page.locator("main").getByRole("link", { name: "Bakery" }).first());
  assert.equal(await shopper.headline(), "Bakery");
  await shopper.click(shopper.page.getByRole("link", { name: "Country sourdough", exact: true }));
  assert.equal(await shopper.headline(), "Country sourdough");
  await shopper.page.getByLabel("Whole loaf").check();
  await shopper.click(shopper.button("Put in the basket"));
  await shopper.says("It is in your basket.");
  assert.equal(await shopper.units(), 1);

  await shopper.click(shopper.link("Look into the basket"));
  await shopper.says("Country sourdough, Whole loaf");
  await shopper.says("€5.49");
  await shopper.click(shopper.link("To the till"));
  await shopper.fillInAddress();
  assert.equal(await shopper.headline(), "Look it over");
  for (const line of [ANA.name, ANA.line1, `${ANA.postal_code} ${ANA.city}`, "Germany"]) await shopper.says(line);
  const total = await shopper.page.locator(".sums .total dd").innerText();
  await shopper.chooseCard("card_ok");
  await shopper.click(shopper.button(`Order and pay ${total}`));

  await shopper.isAtOrder();
  await shopper.untilHeadline(PAID);
  await shopper.says("Country sourdough, Whole loaf");
  assert.equal(await shopper.page.locator(".sums .total dd").innerText(), total);
  assert.equal(await shopper.units(), 0);
});

story("a refused card leaves the order open, and another card pays it", async (enter) => {
  const shopper = await enter();
  await shopper.take("vine-tomatoes");
  await shopper.order("card_refused");
  await shopper.untilHeadline("The card was refused");
  await shopper.says("Nothing was charged.");
  const address = shopper.page.url();
  await shopper.chooseCard("card_ok");
  await shopper.click(shopper.button(/^Pay €/));
  assert.equal(shopper.page.url(), address);
  await shopper.untilHeadline(PAID);
});

story("a card that asks: to the bank, approve, back to the order, paid", async (enter) => {
  const shopper = await enter();
  await shopper.take("bananas");
  await shopper.order("card_challenge");
  await shopper.untilHeadline("Your bank wants a word");
  const address = shopper.page.url();
  await shopper.click(shopper.link("Go to your bank and confirm"));
  assert.ok(shopper.page.url().startsWith(`${shop.simulator}/challenge/`), shopper.page.url());
  await shopper.click(shopper.button("Approve"));
  assert.equal(shopper.page.url(), address);
  await shopper.untilHeadline(PAID);
});

story("declined at the bank, the order can still be paid", async (enter) => {
  const shopper = await enter();
  await shopper.take("broccoli");
  await shopper.order("card_challenge");
  await shopper.untilHeadline("Your bank wants a word");
  await shopper.click(shopper.link("Go to your bank and confirm"));
  await shopper.click(shopper.button("Decline"));
  await shopper.untilHeadline("The card was refused");
  await shopper.chooseCard("card_ok");
  await shopper.click(shopper.button(/^Pay €/));
  await shopper.untilHeadline(PAID);
});

story("a bank that takes its time: the page looks again by itself until it is paid", async (enter) => {
  const shopper = await enter();
  await shopper.take("garlic-bulbs");
  await shopper.order("card_slow");
  // Nobody touches the page from here on.
  await shopper.page.getByRole("heading", { level: 1, name: PAID }).waitFor();
});

story("back from the order and the form sent once more: nothing is ordered twice", async (enter) => {
  const shopper = await enter();
  const sent = [];
  shopper.page.on("request", (request) => {
    const till = request.method() === "POST" && new URL(request.url()).pathname === "/checkout";
    if (till) sent.push(request.postData());
  });
  await shopper.take("fresh-ginger");
  await shopper.order("card_ok");
  const address = shopper.page.url();
  await shopper.untilHeadline(PAID);
  assert.ok(sent.length >= 2, "the address, then the order");
  // Going back, a browser asks whether to send a form again, and says yes with these very bytes. They are sent here
  // without it: the page on which it asks is its own, and nothing to rely on.
  for (const data of sent) {
    const answer = await shopper.page.request.post("/checkout", {
      data,
      maxRedirects: 0,
      headers: { origin: shop.storefront, "content-type": "application/x-www-form-urlencoded" },
    });
    assert.ok(answer.status() < 400, `${answer.status()} ${await answer.text()}`);
    const goesTo = answer.headers().location;
    if (goesTo?.includes("/orders/")) assert.equal(new URL(goesTo, address).pathname, new URL(address).pathname);
  }
  await shopper.open("/account");
  assert.equal(await shopper.page.locator(".orders li").count(), 1);
});

story("a double click on “Order and pay” is one order", async (enter) => {
  const shopper = await enter();
  await shopper.take("bananas");
  await shopper.fillInAddress();
  await shopper.chooseCard("card_ok");
  const form = await shopper.page.locator("form", { has: shopper.button(/^Order and pay/) }).evaluate((form) =>
    Object.fromEntries(new FormData(form)),
  );
  const send = () =>
    shopper.page.request.post("/checkout", { form, maxRedirects: 0, headers: { origin: shop.storefront } });
  const answers = await Promise.all([send(), send(), send()]);
  const goOn = new Set(answers.map((answer) => answer.headers().location));
  assert.equal(goOn.size, 1, [...goOn].join(" "));
  await shopper.open([...goOn][0]);
  await shopper.isAtOrder();
  await shopper.untilHeadline(PAID);
  await shopper.open("/account");
  assert.equal(await shopper.page.locator(".orders li").count(), 1);
});

story("the basket: more, less, a number that is typed, and out with it", async (enter) => {
  const shopper = await enter();
  await shopper.take("vine-tomatoes", 2);
  await shopper.take("bananas");
  await shopper.open("/cart");
  const tomatoes = shopper.page.locator(".line", { hasText: "Vine tomatoes" });
  const units = () => tomatoes.getByRole("spinbutton").inputValue();
  await shopper.click(tomatoes.getByRole("button", { name: /^One .* more$/ }));
  assert.equal(await units(), "3");
  await shopper.click(tomatoes.getByRole("button", { name: /^One .* less$/ }));
  assert.equal(await units(), "2");
  await tomatoes.getByRole("spinbutton").fill("5");
  await shopper.click({ click: () => tomatoes.getByRole("spinbutton").press("Enter") });
  assert.equal(await units(), "5");
  assert.equal(await tomatoes.locator(".sum").innerText(), "€12.45");
  assert.equal(await shopper.units(), 6);
  await shopper.click(tomatoes.getByRole("button", { name: /^Remove/ }));
  assert.equal(await tomatoes.count(), 0);
  await shopper.click(shopper.button(/^Remove/));
  await shopper.says("Nothing in it yet.");
  await shopper.open("/checkout");
  assert.equal(new URL(shopper.page.url()).pathname, "/cart", "an empty basket does not reach the till");
});

story("in yen there are no decimals, in the shop, in the basket and in the order", async (enter) => {
  const shopper = await enter();
  await shopper.open("/p/vine-tomatoes");
  await shopper.click(shopper.button(/JPY/));
  assert.equal(await shopper.button(/JPY/).getAttribute("aria-pressed"), "true");
  await shopper.says("¥400");
  await shopper.click(shopper.button("Put in the basket"));
  await shopper.open("/cart");
  const amounts = async () => (await shopper.text()).match(/[¥€$]\s?[\d.,]+/g);
  const wellWritten = (amount) => assert.match(amount, /^¥\d{1,3}(,\d{3})*$/);
  (await amounts()).forEach(wellWritten);
  await shopper.order("card_ok", { ...ANA, line1: "1-2-3 Ginza", city: "Tokyo", postal_code: "104-0061", country: "JP" });
  await shopper.untilHeadline(PAID);
  (await amounts()).forEach(wellWritten);
});

story("more than there is: said at the till, nothing is ordered", async (enter) => {
  const shopper = await enter();
  await shopper.take("green-tamales", 50);
  await shopper.fillInAddress();
  const order = shopper.button(/^Order and pay/);
  if ((await order.count()) > 0) await shopper.click(order);
  const alert = shopper.page.getByRole("alert");
  assert.match(await alert.innerText(), /tamales/i);
  await shopper.click(alert.getByRole("link", { name: "Change the basket" }));
  assert.equal(await shopper.units(), 50);
  await shopper.open("/account");
  assert.equal(await shopper.page.locator(".orders li").count(), 0);
});

story("what is wrong with the address is said at the field, and what was typed stays", async (enter) => {
  const shopper = await enter();
  await shopper.take("bananas");
  await shopper.fillInAddress({ ...ANA, email: "ana@example" });
  assert.equal(await shopper.headline(), "Where does it go?");
  const email = shopper.page.locator("input[name=email]");
  assert.equal(await email.getAttribute("aria-invalid"), "true");
  const note = await email.getAttribute("aria-describedby");
  assert.ok((await shopper.page.locator(`#${note}`).innerText()).length > 5);
  assert.equal(await shopper.page.locator("input[name=name]").inputValue(), ANA.name);
  await email.fill(ANA.email);
  await shopper.click(shopper.button("See what it costs"));
  assert.equal(await shopper.headline(), "Look it over");
});

story("an order that was thought better of is called off", async (enter) => {
  const shopper = await enter();
  await shopper.take("bananas");
  await shopper.order("card_refused");
  await shopper.untilHeadline("The card was refused");
  await shopper.page.getByText("Call the order off").click();
  await shopper.click(shopper.button("Yes, call it off"));
  await shopper.untilHeadline("This order was called off");
});
