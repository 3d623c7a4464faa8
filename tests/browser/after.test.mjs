// After an order is paid: what the merchant does at the desk, and what the buyer sees, calls off, sends back and reads in mails.
import assert from "node:assert/strict";

import { ANA, newEmail, shop, story, until } from "./shopper.mjs";

/** The mails to an address, newest first. */
async function mailsTo(email) {
  const answer = await fetch(`${shop.mailCatcher}/api/mails?to=${encodeURIComponent(email)}`);
  assert.equal(answer.status, 200);
  return answer.json();
}

story("a parcel leaves and arrives, a piece is called off, one comes back: on both sides, without a script", async (enter) => {
  const shopper = await enter();
  const who = { ...ANA, email: newEmail() };
  const hears = (words) =>
    until(`a mail says “${words}”`, async () => (await mailsTo(who.email)).some((mail) => mail.subject.includes(words)));
  await shopper.take("vine-tomatoes", 4);
  await shopper.order("card_ok", who);
  await shopper.untilHeadline("Thank you, it is paid");
  const order = new URL(shopper.page.url()).pathname;

  await shopper.page.getByText("Cancel single articles").click();
  await shopper.page.locator("input[name^='off:']").fill("1");
  await shopper.click(shopper.button(/^Cancel these/));
  await shopper.says("1 cancelled");

  const clerk = await enter({ baseURL: shop.gateway });
  const login = shop.logins.find((login) => login.role === "merchant");
  await clerk.open(`/merchant${order}`);
  await clerk.signInAtDesk(login.email, login.password);
  await clerk.open(`/merchant${order}`);
  await clerk.click(clerk.link("Where it goes"));
  await clerk.says(ANA.line1);
  await clerk.open(`/merchant${order}`);
  await clerk.page.locator("input[name^='send.']").fill("2");
  await clerk.page.getByLabel(/^Carrier/).first().fill("Corner Post");
  await clerk.page.getByLabel("Tracking number").first().fill("CP 4711");
  await clerk.click(clerk.button("Mark as shipped"));
  await clerk.says("Marked as shipped: 2 pieces");

  await shopper.open(order);
  await shopper.says("CP 4711");
  await shopper.says("2 of 4 on their way");
  await clerk.open(`/merchant${order}`);
  await clerk.click(clerk.button("Mark as shipped"));
  for (let parcel = 0; parcel < 2; parcel++) {
    await clerk.open(`/merchant${order}`);
    await clerk.click(clerk.button(/^It has arrived/).first());
  }
  await clerk.says("with it all of order");

  await shopper.open(order);
  await shopper.page.getByText("Send something back").click();
  await shopper.page.locator("input[name^='back:']").fill("1");
  await shopper.page.locator("#back-reason").selectOption("damaged");
  await shopper.click(shopper.button("Send these back"));
  await shopper.says("Asked for: the seller has not answered yet");
  // Before the next step: a mail that is not true any more is not sent.
  await hears("return request");
  await clerk.open("/merchant/returns?state=requested");
  await clerk.click(clerk.page.locator("tbody th a").first());
  await clerk.click(clerk.button(/^Approve/));
  await hears("may send it back");
  await clerk.click(clerk.button("Take them in"));
  await shopper.open(order);
  await shopper.says("on its way back to you");

  for (const words of ["Thank you", "cancelled", "on its way", "has arrived", "is here"]) await hears(words);
  const [mail] = (await mailsTo(who.email)).filter((mail) => mail.subject.startsWith("Thank you"));
  const link = mail.text.match(/http\S+\/o\/\S+/)[0];
  const elsewhere = await enter();
  await elsewhere.page.goto(link);
  await elsewhere.says("CP 4711");
});
