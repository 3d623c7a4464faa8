//! What a buyer hears by e-mail of each step, from real services to a real mail server that keeps what it is given.

use bodega_domain::{
    id::{MerchantId, OrderId},
    message::{
        notification::{MailKind, MailState, MailView, Mails, Resend},
        order::{Cancel, DecideReturn, Deliver, ForgetContact, ReceiveReturn, Return, ReturnVerdict},
    },
    order::{OrderStatus, OrderView},
    token::Role,
};
use bodega_mail_catcher::{Mail, MailCatcher, Options, Refusal, RefusalCode};
use bodega_platform::sqlx;
use bodega_test_core::code;
use bodega_tests::eventually;

use crate::{
    fulfilment::{lines, parcel, staff},
    saga::account,
    shop::{BREAD, LAMP, Shop},
};

/// The buyer of every order here.
const BUYER: &str = "ada@example.org";

async fn open() -> (Shop, MailCatcher) {
    let catcher = MailCatcher::start(Options::default()).await.unwrap();
    let shop = Shop::open_with_mail(&catcher.smtp_url()).await;
    (shop, catcher)
}

/// The mail with these words in its subject, once it is there.
async fn arrived(catcher: &MailCatcher, subject: &str, order: &OrderView) -> Mail {
    eventually(&format!("a mail: {subject}"), || async {
        let fits = |mail: &Mail| mail.subject.contains(subject) && mail.subject.contains(&order.number);
        catcher.mails_to(BUYER).into_iter().find(fits)
    })
    .await
}

impl Shop {
    async fn mails(&self, order: OrderId) -> Vec<MailView> {
        self.core.ask(Mails { order: Some(order), ..Mails::default() }).await.unwrap().items
    }

    /// The mail of this kind once it is in this state.
    async fn mail(&self, order: OrderId, kind: MailKind, state: MailState) -> MailView {
        eventually(&format!("{kind:?} to be {state:?}"), || async {
            self.mails(order).await.into_iter().find(|mail| mail.kind == kind && mail.state == state)
        })
        .await
    }

    /// As if these mails had waited long enough.
    async fn mails_are_due(&self) {
        let pool = self.core.pool("notification").await;
        sqlx::query("update mail set due = now() where due is not null").execute(&pool).await.unwrap();
    }
}

#[tokio::test]
async fn the_buyer_hears_of_each_step_once() {
    let (shop, catcher) = open().await;
    let (guest, bread) = (shop.guest(), staff(&shop, 1));
    let order = shop.paid(&guest, &[(BREAD, 3)], "k").await;
    let paid = arrived(&catcher, "Thank you for your order", &order).await;
    let text = paid.text.unwrap();
    let link = order.link.clone().unwrap();
    assert!(text.contains("Ada 🦀") && text.contains(&order.totals.total.to_string()), "{text}");
    assert!(text.contains(&link), "a guest finds the order again: {text}");
    assert!(paid.html.unwrap().contains(&link));
    // Paid at once, so nobody is told that it is not.
    shop.mails_are_due().await;
    assert_eq!(
        shop.mail(order.id, MailKind::Placed, MailState::Skipped).await.reason.as_deref(),
        Some("not_true_any_more")
    );

    let cancel = Cancel { order: order.id, key: "c".into(), lines: lines(&[(BREAD, 1)]), refund: None, reason: None };
    shop.core.ask_as(Some(&guest.token), cancel).await.unwrap();
    let off = arrived(&catcher, "Some articles were cancelled", &order).await;
    assert!(off.text.unwrap().contains("1 × bread"));
    let sent = shop.core.ask_as(Some(&bread), parcel(order.id, "p", &[])).await.unwrap();
    let on_its_way = arrived(&catcher, "Your parcel is on its way", &order).await.text.unwrap();
    assert!(on_its_way.contains("2 × bread") && on_its_way.contains("Corner Post") && on_its_way.contains("CP 123"));
    let deliver = Deliver { order: order.id, shipment: sent.shipments[0].id };
    shop.core.ask_as(Some(&bread), deliver).await.unwrap();
    arrived(&catcher, "Your parcel has arrived", &order).await;

    let asked =
        Return { order: order.id, key: "r".into(), lines: lines(&[(BREAD, 1)]), reason: Some("damaged".into()) };
    let back = shop.core.ask_as(Some(&guest.token), asked).await.unwrap().id;
    arrived(&catcher, "We have your return request", &order).await;
    let decide = DecideReturn { order: order.id, r#return: back, verdict: ReturnVerdict::Approve };
    shop.core.ask_as(Some(&bread), decide).await.unwrap();
    arrived(&catcher, "You may send it back", &order).await;
    let receive = ReceiveReturn {
        order: order.id,
        r#return: back,
        key: "b".into(),
        lines: Vec::new(),
        location: None,
        refund: None,
    };
    let done = shop.core.ask_as(Some(&bread), receive).await.unwrap();
    let refund = done.return_requests[0].refund.unwrap();
    let here = arrived(&catcher, "Your return is here", &order).await.text.unwrap();
    assert!(here.contains(&refund.to_string()), "{here}");

    // Each once, and the mail server can tell a repetition by its id.
    let mails = catcher.mails_to(BUYER);
    let ids: std::collections::BTreeSet<_> = mails.iter().map(|mail| mail.header("Message-ID").unwrap()).collect();
    assert_eq!((mails.len(), ids.len()), (7, 7), "{:?}", mails.iter().map(|mail| &mail.subject).collect::<Vec<_>>());
    let rows: Vec<String> = sqlx::query_scalar("select mail::text from mail")
        .fetch_all(&shop.core.pool("notification").await)
        .await
        .unwrap();
    // Three letters alone stand in many an id.
    let named = |row: &String| row.contains(BUYER) || row.contains("Ada ") || row.contains('🦀');
    assert!(!rows.iter().any(named), "rows name nobody: {rows:?}");
    shop.close().await;
}

#[tokio::test]
async fn an_unpaid_order_is_told_of_when_it_stays_unpaid_and_an_end_is_told_once() {
    let (shop, catcher) = open().await;
    let guest = shop.guest();
    let order = shop.buy(&guest, &[(LAMP, 1)], "k", "card_refused").await;
    shop.mail(order.id, MailKind::Placed, MailState::Due).await;
    shop.mails_are_due().await;
    let waits = arrived(&catcher, "Your order waits to be paid", &order).await;
    assert!(waits.text.unwrap().contains(order.link.as_deref().unwrap()));
    let cancel = Cancel { order: order.id, key: "c".into(), lines: Vec::new(), refund: None, reason: None };
    shop.core.ask_as(Some(&guest.token), cancel).await.unwrap();
    let off = arrived(&catcher, "Your order was cancelled", &order).await;
    assert!(off.text.unwrap().contains("You were not charged."));
    shop.close().await;
}

#[tokio::test]
async fn a_server_that_says_later_is_asked_again_and_one_that_says_never_is_not() {
    let (shop, catcher) = open().await;
    let guest = shop.guest();
    catcher.refuse(Refusal { code: RefusalCode::Later, times: 2 });
    let order = shop.paid(&guest, &[(BREAD, 1)], "k").await;
    let later = eventually("a refusal to be noted", || async {
        let mails = shop.mails(order.id).await;
        mails.into_iter().find(|mail| mail.kind == MailKind::Paid && mail.reason.is_some())
    })
    .await;
    assert_eq!((later.state, later.reason.as_deref()), (MailState::Due, Some("451")));
    eventually("the third try", || async {
        shop.mails_are_due().await;
        shop.mails(order.id).await.into_iter().find(|mail| mail.kind == MailKind::Paid && mail.state == MailState::Sent)
    })
    .await;
    arrived(&catcher, "Thank you for your order", &order).await;

    catcher.refuse(Refusal { code: RefusalCode::Never, times: 1 });
    let never = shop.paid(&guest, &[(BREAD, 1)], "n").await;
    let given_up = shop.mail(never.id, MailKind::Paid, MailState::GivenUp).await;
    assert_eq!(given_up.reason.as_deref(), Some("550"));
    // Somebody has put the address right: one more try.
    let admin = account(&shop, vec![Role::Admin], 5);
    let seller = account(&shop, vec![Role::Merchant(MerchantId::from_u128(1))], 6);
    assert!(code(&shop.core.ask_as(Some(&seller), Resend { mail: given_up.id }).await).is_some(), "an admin's alone");
    shop.core.ask_as(Some(&admin), Resend { mail: given_up.id }).await.unwrap();
    shop.mail(never.id, MailKind::Paid, MailState::Sent).await;
    shop.close().await;
}

#[tokio::test]
async fn who_is_forgotten_gets_no_mail_any_more() {
    let (shop, catcher) = open().await;
    let guest = shop.guest();
    let admin = account(&shop, vec![Role::Admin], 5);
    let order = shop.buy(&guest, &[(LAMP, 1)], "k", "card_refused").await;
    let cancel = Cancel { order: order.id, key: "c".into(), lines: Vec::new(), refund: None, reason: None };
    shop.core.ask_as(Some(&guest.token), cancel).await.unwrap();
    shop.until_status(&guest, order.id, OrderStatus::Cancelled).await;
    let told = shop.mail(order.id, MailKind::Cancelled, MailState::Sent).await;
    shop.core.ask_as(Some(&admin), ForgetContact { order: order.id }).await.unwrap();
    let before = catcher.mails_to(BUYER).len();
    shop.core.ask_as(Some(&admin), Resend { mail: told.id }).await.unwrap();
    assert_eq!(shop.mail(order.id, MailKind::Cancelled, MailState::Skipped).await.reason.as_deref(), Some("forgotten"));
    assert_eq!(catcher.mails_to(BUYER).len(), before);
    shop.close().await;
}
