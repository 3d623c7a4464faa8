//! Every operation of the JSON API, as the document lists it.
#![allow(unreachable_pub, missing_docs)]

/// One operation.
pub struct Op {
    pub method: &'static str,
    pub path: &'static str,
    pub summary: &'static str,
    pub query: &'static [(&'static str, &'static str)],
    /// Further headers that the request may have.
    pub headers: &'static [(&'static str, &'static str)],
    /// Whether `Idempotency-Key` is demanded; `None` where it means nothing.
    pub key: Option<bool>,
    pub takes: Option<&'static str>,
    /// Status and schema of the answer.
    pub gives: (&'static str, Option<&'static str>),
}

const fn op(method: &'static str, path: &'static str, summary: &'static str) -> Op {
    Op { method, path, summary, query: &[], headers: &[], key: None, takes: None, gives: ("200", None) }
}

const PAGED: &[(&str, &str)] =
    &[("cursor", "Where to go on, from the answer before"), ("limit", "Items a page, 1 to 100")];

/// In the order of the document.
pub const OPERATIONS: &[Op] = &[
    Op {
        query: &[
            ("category", "A category's slug"),
            ("q", "Search text; the core is asked then"),
            ("cursor", "Where to go on, from the answer before"),
            ("limit", "Items a page, 1 to 100"),
        ],
        gives: ("200", Some("ProductPage")),
        ..op("get", "/api/v1/products", "Products of a category, of all, or of a search")
    },
    Op { gives: ("200", Some("Product")), ..op("get", "/api/v1/products/{slug}", "One product") },
    Op { gives: ("200", Some("CategoryList")), ..op("get", "/api/v1/categories", "All categories") },
    Op { gives: ("200", Some("Cart")), ..op("get", "/api/v1/cart", "The session's cart") },
    Op {
        takes: Some("CartPatch"),
        gives: ("200", Some("Cart")),
        ..op("patch", "/api/v1/cart", "Choose the price list")
    },
    Op {
        key: Some(false),
        takes: Some("CartLineIn"),
        gives: ("200", Some("Cart")),
        ..op("post", "/api/v1/cart/lines", "Add units of an article; the same key again is the same add")
    },
    Op {
        takes: Some("CartLinePatch"),
        gives: ("200", Some("Cart")),
        ..op("patch", "/api/v1/cart/lines/{sku}", "Set a line's quantity; 0 removes it")
    },
    Op { gives: ("200", Some("Cart")), ..op("delete", "/api/v1/cart/lines/{sku}", "Remove a line") },
    Op {
        takes: Some("CodeIn"),
        gives: ("200", Some("Cart")),
        ..op("post", "/api/v1/cart/codes", "Keep a promotion code")
    },
    Op { gives: ("200", Some("Cart")), ..op("delete", "/api/v1/cart/codes/{code}", "Remove a promotion code") },
    Op {
        takes: Some("QuoteIn"),
        gives: ("200", Some("Quote")),
        ..op("post", "/api/v1/quote", "What the cart costs; with an address it can be ordered as it is")
    },
    Op {
        key: Some(true),
        takes: Some("CheckoutIn"),
        gives: ("201", Some("Order")),
        ..op(
            "post",
            "/api/v1/checkout",
            "Place the order; 202 outcome_unknown: sent and not answered, ask with the key",
        )
    },
    Op {
        query: &[("deadline", "As the Location of outcome_unknown has it, Unix milliseconds")],
        headers: &[(
            "Bodega-Checkout",
            "As the answer outcome_unknown or checkout_not_found had it, for clients without a cookie jar: until when this \
             checkout may still succeed. Without it each asking counts anew, and final stays false",
        )],
        gives: ("200", Some("Order")),
        ..op(
            "get",
            "/api/v1/checkout/{key}",
            "What became of a checkout; 404 with final: true once it can no longer succeed",
        )
    },
    Op { query: PAGED, gives: ("200", Some("OrderPage")), ..op("get", "/api/v1/orders", "The session's orders") },
    Op { gives: ("200", Some("Order")), ..op("get", "/api/v1/orders/{id}", "One order") },
    Op {
        key: Some(true),
        takes: Some("PayIn"),
        gives: ("200", Some("Order")),
        ..op("post", "/api/v1/orders/{id}/payments", "Pay again")
    },
    Op {
        key: Some(true),
        takes: Some("CancelIn"),
        gives: ("200", Some("Order")),
        ..op(
            "post",
            "/api/v1/orders/{id}/cancel",
            "Cancel an order of which nothing was sent, or with lines pieces that were not sent; through an opened link, with \
             the order's e-mail, all of it",
        )
    },
    Op {
        key: Some(true),
        takes: Some("ReturnIn"),
        gives: ("201", Some("Return")),
        ..op("post", "/api/v1/orders/{id}/returns", "Ask to send goods back")
    },
    Op {
        gives: ("200", Some("Order")),
        ..op("post", "/api/v1/orders/{id}/link", "Make a guest's link anew; every older one opens nothing from then on")
    },
    Op {
        takes: Some("SignInIn"),
        gives: ("200", Some("Session")),
        ..op("post", "/api/v1/session", "Sign in; the guest's cart is taken along")
    },
    Op { gives: ("204", None), ..op("delete", "/api/v1/session", "Sign out") },
    Op {
        gives: ("200", Some("Session")),
        ..op(
            "post",
            "/api/v1/session/refresh",
            "Trade the refresh token, cookie or header Bodega-Refresh, for a new pair",
        )
    },
    Op {
        takes: Some("RegisterIn"),
        gives: ("201", Some("Session")),
        ..op("post", "/api/v1/register", "Open an account and sign in")
    },
    Op { gives: ("200", Some("Account")), ..op("get", "/api/v1/account", "The signed-in account") },
    Op {
        takes: Some("AccountPatch"),
        gives: ("200", Some("Account")),
        ..op("patch", "/api/v1/account", "Change the account")
    },
    Op {
        takes: Some("DeletionIn"),
        gives: ("204", None),
        ..op(
            "post",
            "/api/v1/account/deletion",
            "Delete the account for good; its orders stay, without name and address once they have ended",
        )
    },
];
