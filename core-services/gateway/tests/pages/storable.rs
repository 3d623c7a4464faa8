//! U+0000, which the database cannot keep, in requests to every operation.

use bodega_domain::{
    Code, Failure,
    message::{Reply, catalog::MerchantOf},
};
use bodega_platform::{Entropy, RequestContext, operation::OPERATIONS};
use serde_json::Value;

use crate::shop::{ADMIN, Shop};

/// Services that the shop of these tests does without.
const ABSENT: [&str; 2] = ["cart", "replicator"];

pub(crate) async fn no_operation_takes_a_text_that_cannot_be_stored(shop: &Shop) {
    let (core, admin) = (&shop.core, shop.token(ADMIN).await);
    for operation in OPERATIONS {
        let subject = operation.subject;
        if ABSENT.contains(&subject.split('.').next().unwrap()) {
            continue;
        }
        let service = RequestContext::service(&core.clock, &Entropy);
        let asked =
            if operation.edge { RequestContext::bearer(service.request_id, Some(admin.clone())) } else { service };
        let reply = core.bus.request_bytes(subject, r#"{"slug": "a\u0000b"}"#.into(), &asked).await.unwrap();
        let reply: Result<Value, Failure> = serde_json::from_slice::<Reply<Value>>(&reply).unwrap().into();
        let failure = reply.expect_err(subject);
        assert_eq!((failure.code, failure.fields[0].pointer.as_str()), (Code::ValidationFailed, "/slug"), "{subject}");
    }
    let merchant = core.ask(MerchantOf { slug: "s-1\0".into() }).await.unwrap_err();
    assert_eq!(merchant.code, Code::ValidationFailed);
}
