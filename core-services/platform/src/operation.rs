//! The one table of operations: who may call each subject, how often, and what a repetition does.
//!
//! The bus and the gateway read it alike. A service that registers a subject which is not in here is refused at start,
//! and a test compares the table with the messages of `bodega-domain`.

use bodega_domain::{Code, Failure, principal::Principal, token::Role};

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Anybody, with or without a session.
    Anyone,
    /// A guest's or an account's session.
    Shopper,
    /// A signed-in account.
    Account,
    /// An account that acts for a merchant (the service looks for which), an admin, or a service.
    Merchant,
    /// An admin or a service.
    Admin,
    /// Other services only.
    Service,
}

/// How often one principal may call, so that nobody takes all of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RateClass {
    /// Services: bounded by their own queues.
    Unlimited,
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// What costs a password hash, or the compilation of a plugin.
    Credential,
    /// Checkouts and payments.
    Checkout,
}

impl RateClass {
    /// Calls a minute of one principal, and the burst that is fine at once. `None`: no limit.
    #[must_use]
    pub const fn per_minute(self) -> Option<u32> {
        match self {
            RateClass::Unlimited => None,
            RateClass::Read => Some(1_200),
            RateClass::Write => Some(600),
            RateClass::Credential => Some(30),
            RateClass::Checkout => Some(120),
        }
    }
}

/// What a repetition does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// Nothing is changed at all.
    Read,
    /// The message names what it is about, so that twice is once.
    Natural,
    /// It carries an idempotency key, which is required.
    Key,
    /// It may carry an idempotency key; without one, the same content again is the same thing.
    OptionalKey,
    /// A repetition is another effect.
    None,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// `<service>.v1.<verb>`.
    pub subject: &'static str,
    /// Who may call.
    pub caller: Caller,
    /// Whether an edge's credential may publish on it. There, nobody can claim to be a service.
    pub edge: bool,
    /// How often.
    pub rate: RateClass,
    /// What a repetition does.
    pub idempotency: Idempotency,
}

const fn edge(subject: &'static str, caller: Caller, rate: RateClass, idempotency: Idempotency) -> Operation {
    Operation { subject, caller, edge: true, rate, idempotency }
}

const fn core(subject: &'static str, caller: Caller, rate: RateClass, idempotency: Idempotency) -> Operation {
    Operation { subject, caller, edge: false, rate, idempotency }
}

const fn internal(subject: &'static str, idempotency: Idempotency) -> Operation {
    core(subject, Caller::Service, RateClass::Unlimited, idempotency)
}

/// Every operation of the bus.
pub const OPERATIONS: &[Operation] = &[
    // cart
    edge("cart.v1.merge", Caller::Shopper, RateClass::Write, Idempotency::Natural),
    // catalog
    edge("catalog.v1.categories", Caller::Anyone, RateClass::Read, Idempotency::Read),
    edge("catalog.v1.get", Caller::Anyone, RateClass::Read, Idempotency::Read),
    edge("catalog.v1.list", Caller::Anyone, RateClass::Read, Idempotency::Read),
    edge("catalog.v1.search", Caller::Anyone, RateClass::Read, Idempotency::Read),
    core("catalog.v1.merchant", Caller::Admin, RateClass::Read, Idempotency::Read),
    core("catalog.v1.upsert", Caller::Merchant, RateClass::Write, Idempotency::Natural),
    core("catalog.v1.retire", Caller::Merchant, RateClass::Write, Idempotency::Natural),
    internal("catalog.v1.digests", Idempotency::Read),
    internal("catalog.v1.price_lines", Idempotency::Read),
    internal("catalog.v1.put_views", Idempotency::Natural),
    internal("catalog.v1.set_bands", Idempotency::Natural),
    internal("catalog.v1.views", Idempotency::Read),
    // identity
    edge("identity.v1.account", Caller::Account, RateClass::Read, Idempotency::Read),
    edge("identity.v1.delete_account", Caller::Account, RateClass::Credential, Idempotency::Natural),
    edge("identity.v1.refresh", Caller::Anyone, RateClass::Write, Idempotency::None),
    edge("identity.v1.register", Caller::Anyone, RateClass::Credential, Idempotency::None),
    edge("identity.v1.sign_in", Caller::Anyone, RateClass::Credential, Idempotency::None),
    // Whoever has a refresh token may end its session, also when the access token has run out.
    edge("identity.v1.sign_out", Caller::Anyone, RateClass::Write, Idempotency::Natural),
    edge("identity.v1.update", Caller::Account, RateClass::Write, Idempotency::Natural),
    core("identity.v1.put_user", Caller::Admin, RateClass::Credential, Idempotency::Natural),
    core("identity.v1.role_changes", Caller::Admin, RateClass::Read, Idempotency::Read),
    core("identity.v1.users", Caller::Admin, RateClass::Read, Idempotency::Read),
    internal("identity.v1.email_digest", Idempotency::Read),
    internal("identity.v1.public_keys", Idempotency::Read),
    internal("identity.v1.revoked", Idempotency::Read),
    internal("identity.v1.staff_of", Idempotency::Read),
    // inventory
    core("inventory.v1.adjust", Caller::Merchant, RateClass::Write, Idempotency::Natural),
    core("inventory.v1.count", Caller::Merchant, RateClass::Write, Idempotency::Key),
    core("inventory.v1.set_safety", Caller::Merchant, RateClass::Write, Idempotency::Natural),
    core("inventory.v1.announce", Caller::Merchant, RateClass::Write, Idempotency::Natural),
    core("inventory.v1.give_up_incoming", Caller::Merchant, RateClass::Write, Idempotency::Natural),
    core("inventory.v1.incoming", Caller::Merchant, RateClass::Read, Idempotency::Read),
    core("inventory.v1.low_stock", Caller::Merchant, RateClass::Read, Idempotency::Read),
    core("inventory.v1.receive", Caller::Merchant, RateClass::Write, Idempotency::Key),
    core("inventory.v1.set_reorder_point", Caller::Merchant, RateClass::Write, Idempotency::Natural),
    core("inventory.v1.transfer", Caller::Merchant, RateClass::Write, Idempotency::Natural),
    core("inventory.v1.exceptions", Caller::Admin, RateClass::Read, Idempotency::Read),
    core("inventory.v1.levels", Caller::Merchant, RateClass::Read, Idempotency::Read),
    core("inventory.v1.locations", Caller::Merchant, RateClass::Read, Idempotency::Read),
    core("inventory.v1.movements", Caller::Merchant, RateClass::Read, Idempotency::Read),
    core("inventory.v1.put_locations", Caller::Admin, RateClass::Write, Idempotency::Natural),
    core("inventory.v1.policies", Caller::Merchant, RateClass::Read, Idempotency::Read),
    core("inventory.v1.set_policy", Caller::Merchant, RateClass::Write, Idempotency::Natural),
    internal("inventory.v1.hold", Idempotency::Natural),
    internal("inventory.v1.hold_of", Idempotency::Read),
    internal("inventory.v1.post", Idempotency::Natural),
    internal("inventory.v1.release", Idempotency::Natural),
    internal("inventory.v1.ship", Idempotency::Natural),
    internal("inventory.v1.unpost", Idempotency::Natural),
    internal("inventory.v1.unship", Idempotency::Natural),
    internal("inventory.v1.void", Idempotency::Natural),
    // notification
    core("notification.v1.mails", Caller::Admin, RateClass::Read, Idempotency::Read),
    core("notification.v1.resend", Caller::Admin, RateClass::Write, Idempotency::None),
    // order
    edge("order.v1.adopt", Caller::Account, RateClass::Write, Idempotency::Natural),
    edge("order.v1.cancel", Caller::Shopper, RateClass::Write, Idempotency::Key),
    edge("order.v1.cancel_by_link", Caller::Anyone, RateClass::Write, Idempotency::Key),
    edge("order.v1.get", Caller::Shopper, RateClass::Read, Idempotency::Read),
    edge("order.v1.list", Caller::Shopper, RateClass::Read, Idempotency::Read),
    edge("order.v1.open_link", Caller::Anyone, RateClass::Write, Idempotency::Natural),
    edge("order.v1.outcome", Caller::Shopper, RateClass::Read, Idempotency::Read),
    edge("order.v1.pay", Caller::Shopper, RateClass::Checkout, Idempotency::Key),
    edge("order.v1.place", Caller::Shopper, RateClass::Checkout, Idempotency::Key),
    edge("order.v1.renew_link", Caller::Shopper, RateClass::Write, Idempotency::None),
    edge("order.v1.return", Caller::Shopper, RateClass::Write, Idempotency::Key),
    core("order.v1.add_note", Caller::Merchant, RateClass::Write, Idempotency::Key),
    core("order.v1.notes", Caller::Merchant, RateClass::Read, Idempotency::Read),
    core("order.v1.close_exception", Caller::Admin, RateClass::Write, Idempotency::Natural),
    core("order.v1.exceptions", Caller::Admin, RateClass::Read, Idempotency::Read),
    core("order.v1.forget_contact", Caller::Admin, RateClass::Write, Idempotency::Natural),
    core("order.v1.reinstate", Caller::Merchant, RateClass::Checkout, Idempotency::Natural),
    core("order.v1.decide_return", Caller::Merchant, RateClass::Write, Idempotency::Natural),
    core("order.v1.deliver", Caller::Merchant, RateClass::Write, Idempotency::Natural),
    core("order.v1.delivery", Caller::Merchant, RateClass::Read, Idempotency::Read),
    core("order.v1.nudge_saga", Caller::Admin, RateClass::Write, Idempotency::Natural),
    core("order.v1.receive_return", Caller::Merchant, RateClass::Write, Idempotency::Key),
    core("order.v1.returns", Caller::Merchant, RateClass::Read, Idempotency::Read),
    core("order.v1.sagas", Caller::Admin, RateClass::Read, Idempotency::Read),
    core("order.v1.ship", Caller::Merchant, RateClass::Write, Idempotency::Key),
    core("order.v1.track", Caller::Merchant, RateClass::Write, Idempotency::Natural),
    core("order.v1.history", Caller::Shopper, RateClass::Read, Idempotency::Read),
    internal("order.v1.abandon", Idempotency::Natural),
    internal("order.v1.forget", Idempotency::Natural),
    internal("order.v1.mailing", Idempotency::Read),
    internal("order.v1.let_go", Idempotency::Natural),
    internal("order.v1.unproven", Idempotency::Read),
    internal("order.v1.payment_changed", Idempotency::Natural),
    // payment
    core("payment.v1.balances", Caller::Admin, RateClass::Read, Idempotency::Read),
    core("payment.v1.close_exception", Caller::Admin, RateClass::Write, Idempotency::Natural),
    core("payment.v1.exceptions", Caller::Admin, RateClass::Read, Idempotency::Read),
    core("payment.v1.policies", Caller::Merchant, RateClass::Read, Idempotency::Read),
    core("payment.v1.set_policy", Caller::Merchant, RateClass::Write, Idempotency::Natural),
    core("payment.v1.reconcile", Caller::Admin, RateClass::Write, Idempotency::Natural),
    core("payment.v1.reconciliations", Caller::Admin, RateClass::Read, Idempotency::Read),
    core("payment.v1.statement", Caller::Merchant, RateClass::Read, Idempotency::Read),
    core("payment.v1.refund", Caller::Admin, RateClass::Write, Idempotency::Key),
    core("payment.v1.transfers_of", Caller::Admin, RateClass::Read, Idempotency::Read),
    internal("payment.v1.attempt", Idempotency::Key),
    internal("payment.v1.call_off", Idempotency::Key),
    internal("payment.v1.cancel", Idempotency::Natural),
    internal("payment.v1.capture", Idempotency::Natural),
    internal("payment.v1.capture_parcel", Idempotency::Key),
    internal("payment.v1.open", Idempotency::Natural),
    internal("payment.v1.state", Idempotency::Read),
    internal("payment.v1.webhook", Idempotency::Natural),
    // pricing
    edge("pricing.v1.quote", Caller::Shopper, RateClass::Read, Idempotency::Read),
    // Starts a process and compiles a stranger's code, as an upload does.
    core("pricing.v1.plugin_activate", Caller::Merchant, RateClass::Credential, Idempotency::OptionalKey),
    core("pricing.v1.plugin_upload", Caller::Merchant, RateClass::Credential, Idempotency::Natural),
    core("pricing.v1.plugins", Caller::Merchant, RateClass::Read, Idempotency::Read),
    core("pricing.v1.promotion_audit", Caller::Merchant, RateClass::Read, Idempotency::Read),
    core("pricing.v1.promotion_deactivate", Caller::Merchant, RateClass::Write, Idempotency::Natural),
    core("pricing.v1.promotions", Caller::Merchant, RateClass::Read, Idempotency::Read),
    core("pricing.v1.put_rule", Caller::Merchant, RateClass::Write, Idempotency::Natural),
    // replicator
    core("replicator.v1.edges", Caller::Admin, RateClass::Read, Idempotency::Read),
];

/// Operations that every service with an outbox has, by their last word.
const OF_EVERY_SERVICE: [Operation; 2] =
    [internal("*.v1.outbox_page", Idempotency::Read), internal("*.v1.outbox_republish", Idempotency::Natural)];

impl Operation {
    /// The row of a subject.
    #[must_use]
    pub fn find(subject: &str) -> Option<Operation> {
        OPERATIONS.iter().find(|operation| operation.subject == subject).copied().or_else(|| {
            let (_, verb) = subject.split_once('.')?;
            OF_EVERY_SERVICE.into_iter().find(|operation| operation.subject.strip_prefix("*.") == Some(verb))
        })
    }

    /// Whether this principal may call it at all. Whose data it gets to see is the service's own question.
    ///
    /// # Errors
    /// `unauthenticated` when signing in would help, else `forbidden`.
    pub fn admit(&self, principal: &Principal) -> Result<(), Failure> {
        let has_role =
            |role: fn(&Role) -> bool| matches!(principal, Principal::Account { roles, .. } if roles.iter().any(role));
        let is_service = *principal == Principal::Service;
        let admitted = match self.caller {
            Caller::Anyone => true,
            Caller::Shopper => !matches!(principal, Principal::Anonymous),
            Caller::Account => matches!(principal, Principal::Account { .. }),
            Caller::Merchant => is_service || has_role(|role| matches!(role, Role::Admin | Role::Merchant(_))),
            Caller::Admin => is_service || has_role(|role| matches!(role, Role::Admin)),
            Caller::Service => is_service,
        };
        if admitted {
            return Ok(());
        }
        let signing_in_helps = self.caller != Caller::Service
            && matches!(
                (principal, self.caller),
                (Principal::Anonymous, _)
                    | (Principal::Guest { .. }, Caller::Account | Caller::Merchant | Caller::Admin)
            );
        Err(if signing_in_helps { Code::Unauthenticated } else { Code::Forbidden }.into())
    }
}

#[cfg(test)]
mod tests {
    use bodega_domain::id::{AccountId, MerchantId, SessionId};

    use super::*;

    #[test]
    fn every_subject_of_the_wire_contract_is_in_the_table_and_nothing_else() {
        let messages = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared-domain/src/message");
        let mut subjects = std::collections::BTreeSet::new();
        for file in std::fs::read_dir(messages).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            for table in text.split("\nrequests! {").skip(1) {
                let rows = table.split("\n}").next().unwrap().split("=> \"").skip(1);
                subjects.extend(rows.map(|row| row.split('"').next().unwrap().to_owned()));
            }
        }
        assert!(subjects.len() > 30, "the wire contract was not found");
        let listed: std::collections::BTreeSet<_> = OPERATIONS.iter().map(|o| o.subject.to_owned()).collect();
        assert_eq!(listed, subjects, "left: the table, right: the messages of bodega-domain");
        assert_eq!(listed.len(), OPERATIONS.len(), "a subject is listed twice");
    }

    #[test]
    fn edges_may_publish_what_the_contract_lists_and_nothing_else() {
        let mut edge: Vec<_> = OPERATIONS.iter().filter(|o| o.edge).map(|o| o.subject).collect();
        edge.sort_unstable();
        let mut contract = [
            "pricing.v1.quote",
            "order.v1.place",
            "order.v1.outcome",
            "order.v1.get",
            "order.v1.list",
            "order.v1.pay",
            "order.v1.cancel",
            "order.v1.return",
            "order.v1.open_link",
            "order.v1.renew_link",
            "order.v1.cancel_by_link",
            "order.v1.adopt",
            "identity.v1.register",
            "identity.v1.sign_in",
            "identity.v1.refresh",
            "identity.v1.sign_out",
            "identity.v1.account",
            "identity.v1.update",
            "identity.v1.delete_account",
            "cart.v1.merge",
            "catalog.v1.search",
            "catalog.v1.list",
            "catalog.v1.get",
            "catalog.v1.categories",
        ];
        contract.sort_unstable();
        assert_eq!(edge, contract);
    }

    #[test]
    fn each_caller_gets_in_where_it_should() {
        let session = SessionId::from_u128(1);
        let account = |roles| Principal::Account { account: AccountId::from_u128(2), session, roles };
        let principals = [
            Principal::Anonymous,
            Principal::Guest { session },
            account(vec![]),
            account(vec![Role::Merchant(MerchantId::from_u128(3))]),
            account(vec![Role::Admin]),
            Principal::Service,
        ];
        let admitted = |caller| {
            let operation = Operation { caller, ..OPERATIONS[0] };
            principals.each_ref().map(|principal| operation.admit(principal).map_err(|f| f.code))
        };
        let (out, no) = (Err(Code::Unauthenticated), Err(Code::Forbidden));
        assert_eq!(admitted(Caller::Anyone), [Ok(()); 6]);
        assert_eq!(admitted(Caller::Shopper), [out, Ok(()), Ok(()), Ok(()), Ok(()), Ok(())]);
        assert_eq!(admitted(Caller::Account), [out, out, Ok(()), Ok(()), Ok(()), no]);
        assert_eq!(admitted(Caller::Merchant), [out, out, no, Ok(()), Ok(()), Ok(())]);
        assert_eq!(admitted(Caller::Admin), [out, out, no, no, Ok(()), Ok(())]);
        assert_eq!(admitted(Caller::Service), [no, no, no, no, no, Ok(())]);
    }
}
