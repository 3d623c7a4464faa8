//! Which address means what: one table, and one match that says what each endpoint does with each method.

use std::{future::Future, pin::Pin, sync::OnceLock};

use bodega_domain::{Code, Failure};
use http::Method;
use percent_encoding::percent_decode_str;

use crate::{
    api, ingest, media, pages,
    platform::Platform,
    respond::{self, Answer},
    visit::Visit,
};

/// What an address names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Home,
    Category,
    Product,
    Search,
    Cart,
    Checkout,
    CheckoutOutcome,
    Order,
    OrderLink,
    Account,
    Media,
    Asset,
    Ingest,
    Health,
    OpenApi,
    Ready,
    ApiProducts,
    ApiProduct,
    ApiCategories,
    ApiCart,
    ApiLines,
    ApiLine,
    ApiCodes,
    ApiCode,
    ApiQuote,
    ApiCheckout,
    ApiOutcome,
    ApiOrders,
    ApiOrder,
    ApiPayments,
    ApiCancel,
    ApiReturns,
    ApiOrderLink,
    ApiSession,
    ApiRefresh,
    ApiRegister,
    ApiAccount,
    ApiDeletion,
}

/// Every address of the shop. `{*…}` never appears: no path is passed on as a whole.
const ROUTES: &[(&str, Endpoint)] = &[
    ("/", Endpoint::Home),
    ("/c/{category}", Endpoint::Category),
    ("/p/{product}", Endpoint::Product),
    ("/search", Endpoint::Search),
    ("/cart", Endpoint::Cart),
    ("/checkout", Endpoint::Checkout),
    ("/checkout/{key}", Endpoint::CheckoutOutcome),
    ("/orders/{id}", Endpoint::Order),
    ("/o/{id}/{secret}", Endpoint::OrderLink),
    ("/account", Endpoint::Account),
    ("/media/{name}", Endpoint::Media),
    ("/assets/{name}", Endpoint::Asset),
    ("/_edge/v1/ingest", Endpoint::Ingest),
    ("/healthz", Endpoint::Health),
    ("/readyz", Endpoint::Ready),
    ("/openapi.json", Endpoint::OpenApi),
    ("/api/v1/products", Endpoint::ApiProducts),
    ("/api/v1/products/{slug}", Endpoint::ApiProduct),
    ("/api/v1/categories", Endpoint::ApiCategories),
    ("/api/v1/cart", Endpoint::ApiCart),
    ("/api/v1/cart/lines", Endpoint::ApiLines),
    ("/api/v1/cart/lines/{sku}", Endpoint::ApiLine),
    ("/api/v1/cart/codes", Endpoint::ApiCodes),
    ("/api/v1/cart/codes/{code}", Endpoint::ApiCode),
    ("/api/v1/quote", Endpoint::ApiQuote),
    ("/api/v1/checkout", Endpoint::ApiCheckout),
    ("/api/v1/checkout/{key}", Endpoint::ApiOutcome),
    ("/api/v1/orders", Endpoint::ApiOrders),
    ("/api/v1/orders/{id}", Endpoint::ApiOrder),
    ("/api/v1/orders/{id}/payments", Endpoint::ApiPayments),
    ("/api/v1/orders/{id}/cancel", Endpoint::ApiCancel),
    ("/api/v1/orders/{id}/returns", Endpoint::ApiReturns),
    ("/api/v1/orders/{id}/link", Endpoint::ApiOrderLink),
    ("/api/v1/session", Endpoint::ApiSession),
    ("/api/v1/session/refresh", Endpoint::ApiRefresh),
    ("/api/v1/register", Endpoint::ApiRegister),
    ("/api/v1/account", Endpoint::ApiAccount),
    ("/api/v1/account/deletion", Endpoint::ApiDeletion),
];

/// The methods that an endpoint may have; `HEAD` is `GET` without a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Post,
    Patch,
    Delete,
}

impl Verb {
    const ALL: [Self; 4] = [Self::Get, Self::Post, Self::Patch, Self::Delete];

    fn of(method: &Method) -> Option<Self> {
        match *method {
            Method::GET | Method::HEAD => Some(Self::Get),
            Method::POST => Some(Self::Post),
            Method::PATCH => Some(Self::Patch),
            Method::DELETE => Some(Self::Delete),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET, HEAD",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// An address that was found.
#[derive(Debug)]
pub(crate) struct Found {
    /// The pattern, for logs: the path itself may hold a secret.
    pub(crate) pattern: &'static str,
    endpoint: Endpoint,
    params: Vec<String>,
}

impl Found {
    /// The nth parameter of the path, decoded.
    fn param(&self, n: usize) -> &str {
        self.params.get(n).map_or("", String::as_str)
    }
}

type Table = matchit::Router<(&'static str, Endpoint)>;

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = Table::new();
        for (pattern, endpoint) in ROUTES {
            // A pattern that clashes with another one is found by the test below, not by a shopper.
            let _ = table.insert(*pattern, (*pattern, *endpoint));
        }
        table
    })
}

/// What a path names. Parameters that are not UTF-8, or hold control characters, name nothing.
pub(crate) fn find(path: &str) -> Option<Found> {
    let matched = table().at(path).ok()?;
    let (pattern, endpoint) = *matched.value;
    let decode = |value: &str| {
        let text = percent_decode_str(value).decode_utf8().ok()?;
        (!text.chars().any(char::is_control)).then(|| text.into_owned())
    };
    let params = matched.params.iter().map(|(_, value)| decode(value)).collect::<Option<Vec<_>>>()?;
    Some(Found { pattern, endpoint, params })
}

/// Answers an endpoint, or says which methods it has.
pub(crate) async fn answer<P: Platform>(visit: &Visit<'_, P>, found: &Found) -> Answer {
    if let Some(verb) = Verb::of(&visit.request.method)
        && let Some(work) = dispatch(visit, found, verb)
    {
        return work.await;
    }
    let allowed: Vec<_> =
        Verb::ALL.into_iter().filter(|verb| dispatch(visit, found, *verb).is_some()).map(Verb::name).collect();
    let allowed = allowed.join(", ");
    Err(Failure::new(Code::MethodNotAllowed, format!("Allowed here: {allowed}.")).about(allowed))
}

type Work<'v> = Pin<Box<dyn Future<Output = Answer> + 'v>>;

/// The table of the shop. Nothing runs before the future is polled.
fn dispatch<'v, P: Platform>(visit: &'v Visit<'_, P>, found: &'v Found, verb: Verb) -> Option<Work<'v>> {
    use Verb::{Get, Post};
    let work: Work<'v> = match (found.endpoint, verb) {
        (Endpoint::Home, Get) => Box::pin(pages::home::show(visit)),
        (Endpoint::Home | Endpoint::Category | Endpoint::Product | Endpoint::Search, Post) => {
            Box::pin(pages::browse::post(visit))
        }
        (Endpoint::Category, Get) => Box::pin(pages::category::show(visit, found.param(0))),
        (Endpoint::Product, Get) => Box::pin(pages::product::show(visit, found.param(0))),
        (Endpoint::Search, Get) => Box::pin(pages::search::show(visit)),
        (Endpoint::Cart, Get) => Box::pin(pages::cart::show(visit)),
        (Endpoint::Cart, Post) => Box::pin(pages::cart::post(visit)),
        (Endpoint::Checkout, Get) => Box::pin(pages::checkout::show(visit)),
        (Endpoint::Checkout, Post) => Box::pin(pages::checkout::post(visit)),
        (Endpoint::CheckoutOutcome, Get) => Box::pin(pages::checkout::outcome(visit, found.param(0))),
        (Endpoint::Order, Get) => Box::pin(pages::order::show(visit, found.param(0))),
        (Endpoint::Order, Post) => Box::pin(pages::order::post(visit, found.param(0))),
        (Endpoint::OrderLink, Get) => Box::pin(pages::order::open_link(visit, found.param(0), found.param(1))),
        (Endpoint::Account, Get) => Box::pin(pages::account::show(visit)),
        (Endpoint::Account, Post) => Box::pin(pages::account::post(visit)),
        (Endpoint::Media, Get) => Box::pin(media::show(visit, found.param(0))),
        (Endpoint::Asset, Get) => Box::pin(pages::assets::show(found.param(0))),
        (Endpoint::Ingest, Get) => Box::pin(ingest::show(visit)),
        (Endpoint::Ingest, Post) => Box::pin(ingest::receive(visit)),
        (Endpoint::Health, Get) => Box::pin(async { respond::json(http::StatusCode::OK, &Health { status: "ok" }) }),
        (Endpoint::OpenApi, Get) => Box::pin(api::document()),
        (Endpoint::Ready, Get) => Box::pin(ready(visit)),
        (Endpoint::ApiProducts, Get) => Box::pin(api::products::list(visit)),
        (Endpoint::ApiProduct, Get) => Box::pin(api::products::show(visit, found.param(0))),
        (Endpoint::ApiCategories, Get) => Box::pin(api::products::categories(visit)),
        (endpoint, verb) => return dispatch_commands(visit, found, endpoint, verb),
    };
    Some(work)
}

/// The part of the table where something is done.
fn dispatch_commands<'v, P: Platform>(
    visit: &'v Visit<'_, P>,
    found: &'v Found,
    endpoint: Endpoint,
    verb: Verb,
) -> Option<Work<'v>> {
    use Verb::{Delete, Get, Patch, Post};
    let param = found.param(0);
    let work: Work<'v> = match (endpoint, verb) {
        (Endpoint::ApiCart, Get) => Box::pin(api::cart::show(visit)),
        (Endpoint::ApiCart, Patch) => Box::pin(api::cart::patch(visit)),
        (Endpoint::ApiLines, Post) => Box::pin(api::cart::add(visit)),
        (Endpoint::ApiLine, Patch) => Box::pin(api::cart::set(visit, param)),
        (Endpoint::ApiLine, Delete) => Box::pin(api::cart::remove(visit, param)),
        (Endpoint::ApiCodes, Post) => Box::pin(api::cart::add_code(visit)),
        (Endpoint::ApiCode, Delete) => Box::pin(api::cart::remove_code(visit, param)),
        (Endpoint::ApiQuote, Post) => Box::pin(api::checkout::quote(visit)),
        (Endpoint::ApiCheckout, Post) => Box::pin(api::checkout::place(visit)),
        (Endpoint::ApiOutcome, Get) => Box::pin(api::checkout::outcome(visit, param)),
        (Endpoint::ApiOrders, Get) => Box::pin(api::orders::list(visit)),
        (Endpoint::ApiOrder, Get) => Box::pin(api::orders::show(visit, param)),
        (Endpoint::ApiPayments, Post) => Box::pin(api::orders::pay(visit, param)),
        (Endpoint::ApiCancel, Post) => Box::pin(api::orders::cancel(visit, param)),
        (Endpoint::ApiReturns, Post) => Box::pin(api::orders::give_back(visit, param)),
        (Endpoint::ApiOrderLink, Post) => Box::pin(api::orders::renew_link(visit, param)),
        (Endpoint::ApiSession, Post) => Box::pin(api::session::sign_in(visit)),
        (Endpoint::ApiSession, Delete) => Box::pin(api::session::sign_out(visit)),
        (Endpoint::ApiRefresh, Post) => Box::pin(api::session::refresh(visit)),
        (Endpoint::ApiRegister, Post) => Box::pin(api::session::register(visit)),
        (Endpoint::ApiAccount, Get) => Box::pin(api::account::show(visit)),
        (Endpoint::ApiAccount, Patch) => Box::pin(api::account::update(visit)),
        (Endpoint::ApiDeletion, Post) => Box::pin(api::account::delete(visit)),
        _ => return None,
    };
    Some(work)
}

#[derive(serde::Serialize)]
struct Health {
    status: &'static str,
}

/// Ready: this edge has the whole catalogue. It goes on being ready when the core is away.
async fn ready<P: Platform>(visit: &Visit<'_, P>) -> Answer {
    if crate::catalog::is_ready(visit).await {
        return respond::json(http::StatusCode::OK, &Health { status: "ready" });
    }
    Err(Failure::new(Code::EdgeNotReady, "No complete snapshot of the catalogue has come yet.").retry_after_s(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_is_found_under_its_own_address() {
        for (pattern, endpoint) in ROUTES {
            let path = pattern.replace('{', "x").replace('}', "");
            let found = find(&path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!((found.pattern, found.endpoint), (*pattern, *endpoint));
        }
    }

    #[test]
    fn parameters_are_decoded_and_broken_ones_name_nothing() {
        assert_eq!(find("/p/caf%C3%A9").unwrap().param(0), "café");
        for bad in ["/p/%ff", "/p/%00", "/p/a%0Ab", "/p/", "/p/a/b", "", "p/a", "//"] {
            assert!(find(bad).is_none(), "{bad}");
        }
    }
}
