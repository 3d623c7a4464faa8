//! Paths and the subjects behind them. One row an endpoint: the routes, the forwarding and the OpenAPI document are all
//! made from this table, and who may call is looked up in the platform's operation table.

mod forward;

use axum::{
    Router,
    routing::{MethodFilter, on},
};
use bodega_domain::message::{catalog, identity, inventory, note, notification, order, payment, pricing, replicator};
use bodega_platform::Context;

use forward::{Forward, forward};

/// Where a field of the request comes from beside the body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    /// A part of the path, written `{name}` there.
    Path,
    /// A part of the path that has another name there.
    Part(&'static str),
    /// A query parameter of text.
    Text,
    /// A query parameter that is a number.
    Number,
    /// A query parameter that is a list of numbers, with commas between them.
    Numbers,
    /// A query parameter `true` or `false`.
    Flag,
}

/// An endpoint.
#[derive(Clone, Copy)]
pub(crate) struct Endpoint {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) subject: &'static str,
    pub(crate) summary: &'static str,
    /// Field names and where they come from.
    pub(crate) fields: &'static [(&'static str, Source)],
    forward: Forward,
    /// Whether the fields are the message's, for the examples of the documents.
    #[cfg(test)]
    parses: fn(serde_json::Value) -> Result<(), String>,
}

/// The methods in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// Whether the request has a body.
    pub(crate) fn has_body(self) -> bool {
        matches!(self, Self::Post | Self::Put | Self::Patch)
    }

    fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Put => MethodFilter::PUT,
            Self::Patch => MethodFilter::PATCH,
            Self::Delete => MethodFilter::DELETE,
        }
    }
}

macro_rules! endpoints {
    ($($method:ident $path:literal $request:ty [$($field:ident: $source:ident $(($part:literal))?),*] $summary:literal;)*) => {
        /// Every endpoint of the API.
        pub(crate) const ENDPOINTS: &[Endpoint] = &[$(Endpoint {
            method: Method::$method,
            path: $path,
            subject: <$request as bodega_domain::message::Request>::SUBJECT,
            summary: $summary,
            fields: &[$((stringify!($field), Source::$source $(($part))?)),*],
            forward: forward::<$request>,
            #[cfg(test)]
            parses: |fields| serde_json::from_value::<$request>(fields).map(drop).map_err(|error| error.to_string()),
        },)*];
    };
}

endpoints! {
    Post "/api/v1/session" identity::SignIn [] "Signs in: an access token for ten minutes and a refresh token";
    Post "/api/v1/session/refresh" identity::Refresh [] "Trades a refresh token for a new pair";
    Delete "/api/v1/session" identity::SignOut [] "Ends the session";
    Get "/api/v1/account" identity::Account [] "The signed-in account";
    Patch "/api/v1/account" identity::Update [] "Changes the signed-in account";
    Get "/api/v1/users" identity::Users [cursor: Text, limit: Number] "Accounts";
    Put "/api/v1/users" identity::PutUser [] "Makes or changes an account and its roles";
    Get "/api/v1/users/changes" identity::RoleChanges [cursor: Text, limit: Number] "Who gave whom which roles";

    Get "/api/v1/categories" catalog::Categories [] "All categories";
    Get "/api/v1/products" catalog::List [category: Text, merchant: Text, cursor: Text, limit: Number] "Products in display order";
    Get "/api/v1/products/search" catalog::Search [q: Text, category: Text, cursor: Text, limit: Number] "Full-text search";
    Get "/api/v1/products/{slug}" catalog::Get [slug: Path] "One product, with the version that an edit begins with";
    Put "/api/v1/products" catalog::Upsert [] "Writes merchants, categories and products, all or nothing; a product whose \
        version is not its `expected_version` (0: not there yet) is answered with 412";
    Delete "/api/v1/products/{slug}" catalog::Retire [slug: Path] "Takes a product out of the shop";

    Get "/api/v1/stock" inventory::Levels [sku_nos: Numbers, merchant: Text, cursor: Text, limit: Number] "Stock by SKU and location";
    Get "/api/v1/stock/exceptions" inventory::Exceptions [cursor: Text] "Stock that is promised beyond what was counted";
    Get "/api/v1/stock/movements" inventory::Movements [sku_nos: Numbers, merchant: Text, cursor: Text, limit: Number] "Who changed what is on hand, when and why";
    Get "/api/v1/stock/locations" inventory::Locations [] "Locations, in the order of their allocation";
    Post "/api/v1/stock/adjustments" inventory::Adjust [] "Changes what is on hand, all or nothing";
    Post "/api/v1/stock/counts" inventory::Count [] "Sets what is on hand to what was counted, all or nothing";
    Post "/api/v1/stock/transfers" inventory::Transfer [] "Carries free units from one location to another";
    Put "/api/v1/stock/safety" inventory::SetSafety [] "Keeps units of a SKU at a location back from orders";
    Get "/api/v1/stock/low" inventory::LowStock [merchant: Text, cursor: Text, limit: Number] "Articles of which no more are free than their reorder point";
    Put "/api/v1/stock/reorder-points" inventory::SetReorderPoint [] "Says at how many free units a merchant wants to order a SKU anew";
    Get "/api/v1/stock/incoming" inventory::Incoming [merchant: Text, all: Flag, cursor: Text, limit: Number] "Goods that are on their way";
    Post "/api/v1/stock/incoming" inventory::Announce [] "Announces goods, all or nothing";
    Post "/api/v1/stock/incoming/{incoming}/receipts" inventory::Receive [incoming: Path] "Announced goods have come: books them on hand";
    Post "/api/v1/stock/incoming/{incoming}/close" inventory::GiveUpIncoming [incoming: Path] "Nothing more of announced goods comes";
    Get "/api/v1/stock/policies" inventory::Policies [merchant: Text, cursor: Text] "What merchants allow of their stock to orders that could not be paid so far";
    Put "/api/v1/stock/policies" inventory::SetPolicy [] "Says which share of a merchant's stock such orders may hold";
    Put "/api/v1/stock/locations" inventory::PutLocations [] "Makes or renames locations";

    Get "/api/v1/orders" order::List [status: Text, all: Flag, cursor: Text, limit: Number] "Orders, newest first";
    Get "/api/v1/orders/exceptions" order::Exceptions [cursor: Text] "Orders that somebody should look at";
    Post "/api/v1/orders/exceptions/{exception}/close" order::CloseException [exception: Path] "Somebody has looked at it";
    Get "/api/v1/orders/sagas" order::Sagas [parked: Flag, cursor: Text] "Shipments, cancellations and returns that are under way or wait for a person";
    Post "/api/v1/orders/sagas/{saga}" order::NudgeSaga [saga: Path] "Brings on one that waits for a person";
    Get "/api/v1/orders/{order}" order::Get [order: Path] "One order";
    Get "/api/v1/orders/{order}/history" order::History [order: Path] "What happened to an order";
    Post "/api/v1/orders/{order}/cancel" order::Cancel [order: Path] "Cancels an order of which nothing was shipped, or pieces that were not";
    Post "/api/v1/orders/{order}/link" order::RenewLink [order: Path] "Makes a guest's link anew: every older one opens nothing";
    Post "/api/v1/orders/{order}/forget" order::ForgetContact [order: Path] "Forgets who has ordered: at once, or when the order has ended";
    Post "/api/v1/orders/{order}/reinstate" order::Reinstate [order: Path] "Makes an ended order again with its late money that waits: a new order with a fresh hold";
    Get "/api/v1/orders/{order}/notes" note::Notes [order: Path] "Notes of staff on an order";
    Post "/api/v1/orders/{order}/notes" note::AddNote [order: Path] "Adds a note, for staff only; it is never changed";
    Get "/api/v1/orders/{order}/delivery" order::Delivery [order: Path] "Where an order goes; who has asked is in its history";
    Post "/api/v1/orders/{order}/shipments" order::Ship [order: Path] "Goods of one merchant leave the house";
    Patch "/api/v1/orders/{order}/shipments/{shipment}" order::Track [order: Path, shipment: Path] "Says anew who carries a shipment and under which number";
    Post "/api/v1/orders/{order}/shipments/{shipment}/delivered" order::Deliver [order: Path, shipment: Path] "A shipment has arrived";
    Post "/api/v1/orders/{order}/returns" order::Return [order: Path] "Asks to send goods back";
    Post "/api/v1/orders/{order}/returns/{return}/decision" order::DecideReturn [order: Path, return: Path] "Approves or refuses a return";
    Post "/api/v1/orders/{order}/returns/{return}/receipt" order::ReceiveReturn [order: Path, return: Path] "The goods of a return are here";
    Get "/api/v1/returns" order::Returns [state: Text, cursor: Text, limit: Number] "Returns, newest first";

    Get "/api/v1/mails" notification::Mails [order: Text, state: Text, cursor: Text, limit: Number] "Mails to buyers, and what became of each";
    Post "/api/v1/mails/{mail}/resend" notification::Resend [mail: Path] "Sends a mail once more";

    Post "/api/v1/refunds" payment::Refund [] "Gives money back";
    Get "/api/v1/payments/balances" payment::Balances [merchant: Text] "Accounts of the ledger";
    Get "/api/v1/payments/statement" payment::StatementOf [merchant: Text, month: Text, currency: Text, cursor: Text, limit: Number] "A merchant's month: what is owed to it, and by what that came about";
    Get "/api/v1/payments/exceptions" payment::Exceptions [cursor: Text] "Payments that somebody should look at";
    Post "/api/v1/payments/exceptions/{exception}/close" payment::CloseException [exception: Path] "Somebody has looked at it";
    Post "/api/v1/payments/reconciliations" payment::Reconcile [] "Lays the books beside the providers' reports now";
    Get "/api/v1/payments/reconciliations" payment::Reconciliations [cursor: Text] "How the books were laid beside the reports, newest first";
    Get "/api/v1/payments/policies" payment::Policies [merchant: Text, cursor: Text] "When merchants want money taken, and what becomes of money that comes too late";
    Put "/api/v1/payments/policies" payment::SetPolicy [] "Says when a merchant's money is taken, and what becomes of late money";
    Get "/api/v1/payments/{order}/transfers" payment::TransfersOf [order: Path] "The ledger's transfers of an order";

    Get "/api/v1/plugins" pricing::Plugins [merchant: Text, cursor: Text] "Uploaded plugins";
    Post "/api/v1/plugins" pricing::PluginUpload [] "Uploads a plugin: checked, tried, then kept";
    Post "/api/v1/plugins/{plugin}/activate" pricing::PluginActivate [plugin: Path] "Uses a plugin in quotes from now on";
    Get "/api/v1/promotions" pricing::Promotions [cursor: Text] "Promotions: rules and plugins in use";
    Get "/api/v1/promotions/changes" pricing::PromotionAudit [merchant: Text, cursor: Text, limit: Number] "Who changed which promotion, when and how";
    Put "/api/v1/promotions/{id}" pricing::PutRule [id: Path] "Makes or replaces a declarative promotion";
    Delete "/api/v1/promotions/{id}" pricing::PromotionDeactivate [promotion: Part("id")] "Stops using a promotion";

    Get "/api/v1/edges" replicator::Edges [] "How far each edge is";
}

/// The routes of all endpoints.
pub(crate) fn routes() -> Router<Context> {
    ENDPOINTS.iter().fold(Router::new(), |router, endpoint| {
        router.route(
            endpoint.path,
            on(endpoint.method.filter(), move |state, exchange, request| {
                forward::answer(*endpoint, state, exchange, request)
            }),
        )
    })
}

#[cfg(test)]
mod tests {
    use bodega_platform::operation::Operation;

    use super::*;

    #[test]
    fn every_endpoint_leads_to_an_operation_of_the_table_that_is_not_for_services_alone() {
        for endpoint in ENDPOINTS {
            let operation = Operation::find(endpoint.subject).unwrap_or_else(|| panic!("{}", endpoint.subject));
            assert_ne!(operation.caller, bodega_platform::operation::Caller::Service, "{}", endpoint.subject);
        }
    }

    /// The body and the path of an endpoint's example in `docs/API.md`.
    fn example(document: &str, endpoint: &Endpoint) -> serde_json::Map<String, serde_json::Value> {
        let name = format!("{} {}", format!("{:?}", endpoint.method).to_uppercase(), endpoint.path);
        let rest = document.split_once(&format!("### `{name}`\n")).unwrap_or_else(|| panic!("{name} is not there")).1;
        let section = rest.split("\n##").next().unwrap();
        let path = section.split_once("\"$SHOP").and_then(|(_, rest)| rest.split_once('"')).expect(&name).0;
        let body = section.split_once("-d '").and_then(|(_, rest)| rest.rsplit_once('\'')).map(|(body, _)| body);
        assert_eq!(body.is_some(), endpoint.method.has_body(), "{name}");
        let mut fields: serde_json::Map<_, _> =
            body.map(|body| serde_json::from_str(body).expect(&name)).unwrap_or_default();
        let parts: Vec<(&str, &str)> = endpoint.path.split('/').zip(path.split('/')).collect();
        assert_eq!(endpoint.path.matches('/').count(), path.matches('/').count(), "{name}");
        for (field, source) in endpoint.fields {
            let part = match source {
                Source::Path => format!("{{{field}}}"),
                Source::Part(part) => format!("{{{part}}}"),
                _ => continue,
            };
            let value = parts.iter().find(|(pattern, _)| *pattern == part).expect(&name).1;
            fields.insert((*field).to_owned(), value.into());
        }
        let has_key = section.contains("Idempotency-Key");
        let operation = Operation::find(endpoint.subject).unwrap();
        assert!(has_key || operation.idempotency != bodega_platform::operation::Idempotency::Key, "{name}");
        if has_key {
            fields.insert("key".to_owned(), "k".into());
        }
        fields
    }

    #[test]
    fn every_write_stands_in_the_api_s_page_with_a_body_that_its_message_takes() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/API.md");
        let document = std::fs::read_to_string(page).unwrap();
        let writes: Vec<_> = ENDPOINTS.iter().filter(|endpoint| endpoint.method != Method::Get).collect();
        for endpoint in &writes {
            let fields = serde_json::Value::Object(example(&document, endpoint));
            (endpoint.parses)(fields).unwrap_or_else(|error| panic!("{}: {error}", endpoint.path));
        }
        assert_eq!(document.matches("\n### `").count(), writes.len(), "an example of what is not there");
    }

    #[test]
    fn the_routes_fit_together() {
        let _: Router<Context> = routes();
    }

    #[test]
    fn every_part_of_a_path_is_a_field_and_no_route_is_written_twice() {
        let mut seen = std::collections::BTreeSet::new();
        for endpoint in ENDPOINTS {
            assert!(seen.insert((format!("{:?}", endpoint.method), endpoint.path)), "{}", endpoint.path);
            let parts: Vec<&str> = endpoint
                .fields
                .iter()
                .filter_map(|(field, source)| match source {
                    Source::Path => Some(*field),
                    Source::Part(part) => Some(*part),
                    _ => None,
                })
                .collect();
            assert_eq!(parts.len(), endpoint.path.matches('{').count(), "{}", endpoint.path);
            assert!(parts.iter().all(|part| endpoint.path.contains(&format!("{{{part}}}"))), "{}", endpoint.path);
        }
    }
}
