//! What merchants hear by e-mail of their stock: once for all that came together, and never of another's.

use bodega_domain::{
    id::MerchantId,
    message::identity::{PutUser, SessionOpened, SignIn, Update},
    token::Role,
};
use bodega_mail_catcher::{Mail, MailCatcher, Options, Refusal, RefusalCode};
use bodega_platform::sqlx;
use bodega_tests::eventually;

use crate::shop::{BREAD, LAMP, ON_HAND, Shop, WATER};

async fn open() -> (Shop, MailCatcher) {
    let catcher = MailCatcher::start(Options::default()).await.unwrap();
    let shop = Shop::open_with_mail(&catcher.smtp_url()).await;
    (shop, catcher)
}

async fn arrived(catcher: &MailCatcher, to: &str, subject: &str) -> Mail {
    eventually(&format!("a mail: {subject}"), || async {
        catcher.mails_to(to).into_iter().find(|mail| mail.subject == subject)
    })
    .await
}

impl Shop {
    /// The account of somebody who acts for a merchant.
    async fn clerk(&self, email: &str, merchant: u128) -> SessionOpened {
        let roles = vec![Role::Merchant(MerchantId::from_u128(merchant))];
        let (email, name, password) = (email.to_owned(), "Clerk".to_owned(), "a long enough password".to_owned());
        let put = PutUser { email: email.clone(), name, password: Some(password.clone()), roles };
        self.core.ask(put).await.unwrap();
        self.core.ask(SignIn { email, password }).await.unwrap()
    }

    /// Takes and adds until so many are left, at both places.
    async fn leave(&self, sku: &str, left: i64, reference: &str) {
        self.count(sku, 1, -ON_HAND, &format!("{reference}:1")).await.unwrap();
        self.count(sku, 2, left - ON_HAND, &format!("{reference}:2")).await.unwrap();
    }

    /// Once these words were heard, as if their merchants had waited long enough.
    async fn are_due(&self, words: &[(&str, i64)]) {
        let pool = self.core.pool("notification").await;
        for (sku, version) in words {
            eventually(&format!("word {version} of {sku}"), || async {
                let known = sqlx::query_scalar("select version from stock_word where sku_no = $1")
                    .bind(i64::from(self.skus[*sku]))
                    .fetch_optional(&pool)
                    .await
                    .unwrap();
                (known == Some(*version)).then_some(())
            })
            .await;
        }
        let due = sqlx::query("update stock_mail set due = now() - interval '1 second'").execute(&pool).await.unwrap();
        assert_eq!(due.rows_affected(), 1, "one merchant is to be told");
    }

    async fn nobody_is_due(&self) {
        let pool = self.core.pool("notification").await;
        eventually("everybody to be told", || async {
            let due: i64 = sqlx::query_scalar("select count(*) from stock_mail").fetch_one(&pool).await.unwrap();
            (due == 0).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_merchant_hears_once_of_all_that_is_low_and_nobody_hears_of_anothers() {
    let (shop, catcher) = open().await;
    let (one, two, other) = ("one@bread.example", "two@bread.example", "lamps@lamps.example");
    shop.clerk(one, 1).await;
    let quiet = shop.clerk(two, 1).await;
    shop.clerk(other, 2).await;
    let wish = Update { stock_mails: Some(false), ..Update::default() };
    assert_eq!(shop.core.ask_as(Some(&quiet.token), wish).await.unwrap().stock_mails, Some(false));
    shop.leave(BREAD, 3, "bread").await;
    shop.leave(WATER, 0, "water").await;
    shop.are_due(&[(BREAD, 1), (WATER, 1)]).await;
    let mail = arrived(&catcher, one, "1 of your articles is sold out").await;
    let text = mail.text.unwrap();
    assert!(text.contains("bread (BREAD): 3 are free") && text.contains("water (WATER): 0 are free"), "{text}");
    assert!(text.contains("/merchant/stock/low") && text.contains("/merchant/settings"), "{text}");
    shop.nobody_is_due().await;

    // Back, and told so; that something is enough which was never told to be low is no news.
    shop.count(BREAD, 1, 100, "back").await.unwrap();
    shop.are_due(&[(BREAD, 2)]).await;
    let back = arrived(&catcher, one, "There is enough again").await.text.unwrap();
    assert!(back.contains("bread (BREAD): 103 are free") && !back.contains("WATER"), "{back}");
    shop.nobody_is_due().await;
    shop.leave(LAMP, 4, "lamp").await;
    shop.count(LAMP, 2, 100, "lamp:3").await.unwrap();
    shop.are_due(&[(LAMP, 2)]).await;
    shop.nobody_is_due().await;
    let mails = [one, two, other].map(|email| catcher.mails_to(email).len());
    assert_eq!(mails, [2, 0, 0], "who does not want it hears nothing, and nobody hears of another's stock");
    shop.close().await;
}

#[tokio::test]
async fn a_mail_server_that_is_away_is_asked_again_and_nothing_low_is_forgotten() {
    let (shop, catcher) = open().await;
    let email = "one@bread.example";
    shop.clerk(email, 1).await;
    catcher.refuse(Refusal { code: RefusalCode::Later, times: 1 });
    shop.leave(BREAD, 2, "bread").await;
    shop.are_due(&[(BREAD, 1)]).await;
    let pool = shop.core.pool("notification").await;
    eventually("a try in vain that is to be repeated soon", || async {
        let row: Option<(i32, bool)> =
            sqlx::query_as("select attempts, due < now() + interval '60 seconds' from stock_mail where due > now()")
                .fetch_optional(&pool)
                .await
                .unwrap();
        (row == Some((1, true))).then_some(())
    })
    .await;
    assert!(catcher.mails_to(email).is_empty());
    shop.are_due(&[(BREAD, 1)]).await;
    let mail = arrived(&catcher, email, "1 of your articles is low").await;
    assert!(mail.text.unwrap().contains("bread (BREAD): 2 are free"));
    shop.nobody_is_due().await;
    shop.close().await;
}
