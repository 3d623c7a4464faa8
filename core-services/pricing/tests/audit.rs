//! Who changed which promotion, and who may read it.

mod shop;

use bodega_domain::{
    Code,
    id::{AccountId, MerchantId, PromotionId, SessionId},
    message::pricing::{PromotionAudit, PromotionChange, PromotionDeactivate, PutRule},
    token::{AccountClaims, Role, mint_account},
};
use bodega_test_core::{code, goods};
use serde_json::json;
use shop::{BAKER, Shop};

const BREAD: PromotionId = PromotionId::from_u128(0x77);
const TEA: PromotionId = PromotionId::from_u128(0x78);
const ADMIN: AccountId = AccountId::from_u128(0xad);

fn rule(id: PromotionId, merchant: Option<MerchantId>, label: &str) -> PutRule {
    let rule = json!({ "benefit": { "percentage_bp": 1000 } });
    PutRule { id, merchant, label: label.into(), rule, active: true }
}

fn admin(shop: &Shop) -> String {
    let now = shop.core.clock.now();
    let (session, roles) = (SessionId::from_u128(0xad), vec![Role::Admin]);
    let claims = AccountClaims { account: ADMIN, session, roles, issued: now, expires: now.plus_min(10) };
    mint_account(&shop.core.config.keys.identity[0], &claims).expect("a token")
}

fn said(changes: &[PromotionChange]) -> Vec<(&str, &str, String)> {
    changes.iter().map(|c| (c.label.as_str(), c.what.as_str(), c.who.clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_changed_which_promotion_is_read_by_admins_and_of_their_own_by_merchants() {
    let shop = Shop::without_plugins().await;
    let corner = goods::merchant().id;
    let (baker, grocer, admin) = (shop.merchant(BAKER), shop.merchant(corner), admin(&shop));
    let account = |merchant: MerchantId| AccountId::from_u128(merchant.as_u128()).to_string();
    shop.core.ask_as(Some(&baker), rule(BREAD, None, "Bread for less")).await.expect("a rule");
    shop.core.ask_as(Some(&grocer), rule(TEA, None, "Tea for less")).await.expect("a rule");
    shop.core.ask(rule(PromotionId::from_u128(0x79), None, "All for less")).await.expect("the marketplace's");
    let refused = shop.core.ask_as(Some(&grocer), PromotionDeactivate { promotion: BREAD }).await;
    assert_eq!(code(&refused), Some(Code::Forbidden), "and what was not done is not noted");
    shop.core.ask_as(Some(&admin), PromotionDeactivate { promotion: BREAD }).await.expect("stopped");

    let own = shop.core.ask_as(Some(&baker), PromotionAudit::default()).await.expect("its own");
    let bread = "Bread for less";
    assert_eq!(said(&own.items), [(bread, "deactivated", ADMIN.to_string()), (bread, "activated", account(BAKER))]);
    assert_eq!((own.items[1].promotion, own.items[1].merchant), (BREAD, Some(BAKER)));
    assert_eq!(own.items[1].data["rule"]["benefit"], json!({ "percentage_bp": 1000 }));
    assert_eq!(own.next_cursor, None);
    let theirs = shop.core.ask_as(Some(&grocer), PromotionAudit::default()).await.expect("its own");
    assert_eq!(said(&theirs.items), [("Tea for less", "activated", account(corner))]);
    let of_baker = PromotionAudit { merchant: Some(BAKER), ..PromotionAudit::default() };
    assert_eq!(code(&shop.core.ask_as(Some(&grocer), of_baker.clone()).await), Some(Code::Forbidden));
    assert_eq!(shop.core.ask_as(Some(&admin), of_baker).await.expect("an admin's"), own);
    assert_eq!(
        code(&shop.core.ask_as(Some(&shop.guest()), PromotionAudit::default()).await),
        Some(Code::Unauthenticated)
    );

    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let ask = PromotionAudit { limit: Some(1), cursor, merchant: None };
        let page = shop.core.ask_as(Some(&admin), ask).await.expect("a page");
        assert_eq!(page.items.len(), 1);
        seen.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let all = shop.core.ask_as(Some(&admin), PromotionAudit::default()).await.expect("all");
    assert_eq!((seen.len(), &seen), (4, &all.items), "one by one they are the same");
    assert_eq!(said(&seen)[1], ("All for less", "activated", "service".to_owned()));
    let odd = PromotionAudit { cursor: Some("x".into()), ..PromotionAudit::default() };
    assert_eq!(code(&shop.core.ask_as(Some(&admin), odd).await), Some(Code::BadRequest));
}
