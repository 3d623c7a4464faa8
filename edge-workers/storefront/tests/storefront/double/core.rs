//! A core that answers the storefront's requests by the domain's own rules, from memory.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use bodega_domain::{
    Code, Failure, Money, Timestamp,
    cart::Cart,
    id::{AccountId, OrderId, SessionId},
    message::{
        Done, Page, Reply, Request,
        cart::{Merge, Merged},
        catalog, identity, order, pricing,
    },
    order::{Fulfilment, OrderPart, OrderStatus, OrderView, PaymentAmounts, PaymentStatus, PaymentView, Returns},
    quote::{Adjustment, AdjustmentClass, QuoteLine, Shipping, Source, Totals},
    token::{AccountClaims, Session, base64url, from_base64url, mint_account, verify_session},
};
use bodega_storefront::platform::CoreRequest;
use serde_json::Value;

use super::{goods, guest_ring, identity_key, life};

#[derive(Default)]
pub struct Core {
    carts: RefCell<BTreeMap<String, Cart>>,
    adopted: RefCell<Vec<String>>,
    quotes: RefCell<BTreeMap<String, pricing::QuoteAnswer>>,
    orders: RefCell<BTreeMap<String, OrderView>>,
    by_key: RefCell<BTreeMap<String, String>>,
    refreshes: RefCell<BTreeMap<String, u32>>,
    /// Articles beside those of the tests.
    pub more: RefCell<BTreeMap<bodega_domain::catalog::SkuNo, bodega_domain::catalog::SkuView>>,
    /// The next request on a subject is refused with this.
    pub refuse: RefCell<Option<(String, Failure)>>,
    /// Orders that an account took over from a guest.
    pub taken_over: RefCell<Vec<OrderId>>,
    /// Its clock is so far ahead of the edges'.
    pub ahead_ms: Cell<i64>,
}

const EMAIL: &str = "ada@example.org";

impl Core {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn order_count(&self) -> usize {
        self.orders.borrow().len()
    }

    /// Changes an order behind the shopper's back.
    pub fn alter(&self, order: &str, change: impl FnOnce(&mut OrderView)) {
        self.change(order.parse().unwrap(), change).unwrap();
    }

    /// All of an order's money is taken only as its goods leave.
    pub fn take_as_goods_leave(&self, order: &str) {
        self.alter(order, |order| {
            let (merchant, waiting) = (order.parts[0].merchant, order.totals.total);
            let forgone = bodega_domain::Money::zero(waiting.currency());
            order.payment.at_shipment = vec![bodega_domain::order::AtShipment { merchant, waiting, forgone }];
        });
    }

    /// A parcel leaves the shop.
    pub fn ship(&self, order: &str, sku: &str, pieces: u32) {
        self.alter(order, |order| life::ship(order, sku, pieces));
    }

    pub fn answer(&self, request: &CoreRequest<'_>, edge_ms: i64) -> Vec<u8> {
        let CoreRequest { subject, payload, .. } = *request;
        let header = |name| request.headers.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
        let (token, now_ms) = (header("Bodega-Token"), edge_ms + self.ahead_ms.get());
        let deadline: i64 = header("Bodega-Deadline").unwrap().parse().unwrap();
        if now_ms > deadline {
            let late: Result<Value, Failure> = Err(Code::DeadlineExceeded.into());
            return serde_json::to_vec(&Reply::from(late)).unwrap();
        }
        let refusal = {
            let mut refuse = self.refuse.borrow_mut();
            if refuse.as_ref().is_some_and(|(of, _)| of == subject) { refuse.take() } else { None }
        };
        let result = match refusal {
            Some((_, failure)) => Err(failure),
            None => self.dispatch(subject, token, payload, Timestamp::from_unix_ms(now_ms)),
        };
        serde_json::to_vec(&Reply::from(result)).unwrap()
    }

    fn dispatch(&self, subject: &str, token: Option<&str>, payload: &[u8], now: Timestamp) -> Result<Value, Failure> {
        let public = identity_key().public().unwrap();
        let session = token.and_then(|token| verify_session(token, &guest_ring(), &[public], now).ok());
        match subject {
            Merge::SUBJECT => to(self.merge(parse(payload))),
            catalog::Search::SUBJECT => to(search(parse(payload))),
            catalog::Get::SUBJECT => {
                let get: catalog::Get = parse(payload);
                let good = goods::GOODS.iter().find(|good| good.0 == get.slug).ok_or(Code::ProductNotFound)?;
                to(goods::product(good))
            }
            catalog::Categories::SUBJECT => to(goods::categories()),
            catalog::List::SUBJECT => {
                to(Page { items: goods::GOODS.iter().map(goods::card).collect(), next_cursor: None })
            }
            pricing::Quote::SUBJECT => to(self.quote(parse(payload), now)?),
            order::Place::SUBJECT => to(self.place(parse(payload), session.ok_or(Code::Unauthenticated)?, now)?),
            order::Outcome::SUBJECT => to(self.outcome(parse(payload), now)?),
            order::Get::SUBJECT => {
                let get: order::Get = parse(payload);
                session.ok_or(Code::Unauthenticated)?;
                to(self.orders.borrow().get(&get.order.to_string()).cloned().ok_or(Code::OrderNotFound)?)
            }
            order::List::SUBJECT => {
                to(Page { items: self.orders.borrow().values().cloned().collect(), next_cursor: None })
            }
            order::OpenLink::SUBJECT => {
                let link: order::OpenLink = parse(payload);
                let order = self.orders.borrow().get(&link.order.to_string()).cloned();
                to(order.filter(|_| link.secret == "0123456789abcdef").ok_or(Code::OrderNotFound)?)
            }
            order::RenewLink::SUBJECT => {
                let renew: order::RenewLink = parse(payload);
                session.ok_or(Code::Unauthenticated)?;
                to(self.change(renew.order, |order| {
                    order.link = order.link.as_ref().map(|_| format!("/o/{}/fedcba9876543210", order.id));
                })?)
            }
            order::CancelByLink::SUBJECT => {
                let cancel: order::CancelByLink = parse(payload);
                if cancel.secret != "0123456789abcdef" {
                    return Err(Code::OrderNotFound.into());
                }
                if cancel.email != EMAIL {
                    return Err(Failure::from(Code::ValidationFailed).field("/email", "wrong", "Not the order's."));
                }
                to(self.change(cancel.order, |order| order.status = OrderStatus::Cancelled)?)
            }
            order::Adopt::SUBJECT => {
                let adopt: order::Adopt = parse(payload);
                let guest = verify_session(&adopt.guest, &guest_ring(), &[], now);
                let (Some(Session::Account(_)), Ok(Session::Guest(_))) = (session, guest) else {
                    return Err(Code::BadRequest.into());
                };
                let orders: Vec<_> = self.orders.borrow().values().map(|order| order.id).collect();
                self.taken_over.borrow_mut().extend(orders.iter().copied());
                to(order::Adopted { orders })
            }
            order::Pay::SUBJECT => {
                let pay: order::Pay = parse(payload);
                to(self.change(pay.order, |order| {
                    order.status = OrderStatus::Paid;
                    order.payment.status = PaymentStatus::Captured;
                })?)
            }
            order::Cancel::SUBJECT => {
                let cancel: order::Cancel = parse(payload);
                to(self.try_change(cancel.order, |order| life::cancel(order, &cancel))?)
            }
            order::Return::SUBJECT => {
                let back: order::Return = parse(payload);
                let order = self.try_change(back.order, |order| life::give_back(order, &back, now))?;
                to(order::ReturnAnswer { id: order.return_requests.last().unwrap().id, order })
            }
            identity::SignIn::SUBJECT => {
                let wish: identity::SignIn = parse(payload);
                if wish.email != EMAIL || wish.password != "correct horse" {
                    return Err(Code::CredentialsInvalid.into());
                }
                to(self.open(now, 1))
            }
            identity::Register::SUBJECT => {
                let wish: identity::Register = parse(payload);
                if wish.email == EMAIL { Err(Code::EmailTaken.into()) } else { to(self.open(now, 1)) }
            }
            identity::Refresh::SUBJECT => {
                let wish: identity::Refresh = parse(payload);
                let known = self.refreshes.borrow_mut().remove(&wish.refresh);
                to(self.open(now, known.ok_or(Code::SessionExpired)?))
            }
            identity::SignOut::SUBJECT => {
                let wish: identity::SignOut = parse(payload);
                let of_token = match session {
                    Some(Session::Account(claims)) => u32::try_from(claims.session.as_u128()).ok(),
                    _ => None,
                };
                let mut refreshes = self.refreshes.borrow_mut();
                let ended = match &wish.refresh {
                    Some(refresh) => refreshes.get(refresh).copied(),
                    None => Some(of_token.ok_or(Code::Unauthenticated)?),
                };
                refreshes.retain(|_, session| Some(*session) != ended);
                to(Done {})
            }
            identity::DeleteAccount::SUBJECT => match session {
                Some(Session::Account(_)) => {
                    let wish: identity::DeleteAccount = parse(payload);
                    if wish.password == "correct horse" { to(Done {}) } else { Err(Code::CredentialsInvalid.into()) }
                }
                _ => Err(Code::Unauthenticated.into()),
            },
            identity::Account::SUBJECT | identity::Update::SUBJECT => match session {
                Some(Session::Account(_)) => to(account()),
                _ => Err(Code::Unauthenticated.into()),
            },
            other => panic!("nobody answers {other}"),
        }
    }

    fn merge(&self, merge: Merge) -> Merged {
        let mut carts = self.carts.borrow_mut();
        let cart = carts.entry(merge.cart).or_default();
        if !merge.state.is_empty() {
            cart.merge(&Cart::decode(&from_base64url(&merge.state).unwrap()).unwrap());
        }
        if let Some(adopt) = merge.adopt {
            let mut adopted = self.adopted.borrow_mut();
            if !adopted.contains(&adopt.cart) {
                let guest = Cart::decode(&from_base64url(&adopt.state).unwrap()).unwrap();
                let tick = cart.largest_tick().max(guest.largest_tick()) + 1;
                cart.adopt(&guest, tick);
                adopted.push(adopt.cart);
            }
        }
        Merged { state: base64url(&cart.encode()) }
    }

    fn open(&self, now: Timestamp, generation: u32) -> identity::SessionOpened {
        let claims = AccountClaims {
            account: AccountId::from_u128(4),
            session: SessionId::from_u128(u128::from(generation)),
            roles: Vec::new(),
            issued: now,
            expires: now.plus_min(10),
        };
        let refresh = format!("refresh-{generation}-{}", now.unix_ms());
        self.refreshes.borrow_mut().insert(refresh.clone(), generation);
        identity::SessionOpened {
            token: mint_account(&identity_key(), &claims).unwrap(),
            expires: claims.expires,
            refresh,
            refresh_expires: now.plus_days(30),
            account: account(),
            cart_secret: base64url(&[42; 32]),
        }
    }

    fn quote(&self, wish: pricing::Quote, now: Timestamp) -> Result<pricing::QuoteAnswer, Failure> {
        let zero = Money::zero(wish.currency);
        let mut lines = Vec::new();
        for (no, quantity) in &wish.lines {
            let more = self.more.borrow().get(no).cloned();
            let sku = more.or_else(|| goods::sku_view(*no)).ok_or(Code::SkuNotFound)?;
            let unit_price = sku.prices.get(wish.currency).ok_or(Code::CurrencyUnsupported)?;
            let subtotal = unit_price.times(*quantity).unwrap();
            lines.push(QuoteLine {
                sku_no: *no,
                sku: sku.sku,
                title: sku.title,
                merchant: sku.merchant,
                quantity: *quantity,
                unit_price,
                subtotal,
                discount: zero,
                tax_rate_bp: 700,
                tax: zero,
                total: subtotal,
            });
        }
        let subtotal = Money::sum(wish.currency, lines.iter().map(|line| line.subtotal)).unwrap();
        let off = Money::new(10, wish.currency).unwrap();
        let shipping = Money::new(490, wish.currency).unwrap();
        let mut quotes = self.quotes.borrow_mut();
        let token = wish.destination.as_ref().map(|_| format!("q1.test.{}", quotes.len()));
        let answer = pricing::QuoteAnswer {
            token: token.clone(),
            expires_at: now.plus_min(15),
            currency: wish.currency,
            lines,
            discounts: vec![Adjustment {
                source: Source::Rule("prm".into()),
                class: AdjustmentClass::Order,
                label: "Ten off <&>".into(),
                funded_by: None,
                amount: off,
                lines: Vec::new(),
            }],
            plugins: Vec::new(),
            taxes: Vec::new(),
            shipping: Shipping { method: "standard".into(), amount: shipping },
            totals: Totals::new(subtotal, off, shipping, zero, true).unwrap(),
            codes_refused: wish.codes.iter().map(|code| (code.clone(), "unknown".into())).collect(),
        };
        if let Some(token) = token {
            quotes.insert(token, answer.clone());
        }
        Ok(answer)
    }

    fn place(&self, wish: order::Place, session: Session, now: Timestamp) -> Result<OrderView, Failure> {
        if let Some(known) = self.by_key.borrow().get(&wish.key) {
            return Ok(self.orders.borrow()[known].clone());
        }
        let quote = self.quotes.borrow().get(&wish.quote).cloned().ok_or(Code::QuoteInvalid)?;
        let mut orders = self.orders.borrow_mut();
        let id = OrderId::from_u128(1000 + orders.len() as u128);
        let refused = wish.payment.method == "card_refused";
        let zero = Money::zero(quote.currency);
        let view = OrderView {
            id,
            number: format!("B-{}", 100 + orders.len()),
            placed_at: now,
            status: if refused { OrderStatus::AwaitingPayment } else { OrderStatus::Paid },
            fulfilment: Fulfilment::None,
            returns: Returns::None,
            parts: vec![OrderPart {
                merchant: goods::MERCHANT,
                skus: quote.lines.iter().map(|line| line.sku.clone()).collect(),
                total: quote.totals.total,
                fulfilment: Fulfilment::None,
            }],
            lines: quote.lines.into_iter().map(Into::into).collect(),
            totals: quote.totals,
            payment: PaymentView {
                status: if refused { PaymentStatus::Refused } else { PaymentStatus::Captured },
                amounts: PaymentAmounts { authorised: zero, captured: zero, refunded: zero },
                next_action: None,
                held_until: None,
                at_shipment: Vec::new(),
                capture_before: None,
            },
            shipments: Vec::new(),
            return_requests: Vec::new(),
            link: matches!(session, Session::Guest(_)).then(|| format!("/o/{id}/0123456789abcdef")),
            reinstated_as: None,
            reinstates: None,
        };
        self.by_key.borrow_mut().insert(wish.key, id.to_string());
        orders.insert(id.to_string(), view.clone());
        Ok(view)
    }

    fn outcome(&self, wish: order::Outcome, now: Timestamp) -> Result<OrderView, Failure> {
        match self.by_key.borrow().get(&wish.key) {
            Some(id) => Ok(self.orders.borrow()[id].clone()),
            None => {
                let mut failure = Failure::from(Code::CheckoutNotFound);
                failure.r#final = Some(wish.deadline.is_some_and(|deadline| now > deadline));
                Err(failure)
            }
        }
    }

    fn change(&self, order: OrderId, change: impl FnOnce(&mut OrderView)) -> Result<OrderView, Failure> {
        self.try_change(order, |order| {
            change(order);
            Ok(())
        })
    }

    fn try_change(
        &self,
        order: OrderId,
        change: impl FnOnce(&mut OrderView) -> Result<(), Failure>,
    ) -> Result<OrderView, Failure> {
        let mut orders = self.orders.borrow_mut();
        let order = orders.get_mut(&order.to_string()).ok_or(Code::OrderNotFound)?;
        change(order)?;
        Ok(order.clone())
    }
}

fn account() -> identity::AccountView {
    identity::AccountView {
        id: AccountId::from_u128(4),
        email: EMAIL.into(),
        name: "Ada <Lovelace>".into(),
        roles: Vec::new(),
        address: None,
        stock_mails: None,
    }
}

fn search(wish: catalog::Search) -> Page<bodega_domain::catalog::ProductCard> {
    let q = wish.q.to_lowercase();
    let items = goods::GOODS.iter().filter(|good| good.1.to_lowercase().contains(&q)).map(goods::card).collect();
    Page { items, next_cursor: None }
}

fn parse<T: serde::de::DeserializeOwned>(payload: &[u8]) -> T {
    serde_json::from_slice(payload).unwrap()
}

fn to(answer: impl serde::Serialize) -> Result<Value, Failure> {
    Ok(serde_json::to_value(answer).unwrap())
}
