//! The dashboard for admins under `/admin` and the pages of merchants under `/merchant`.
//!
//! HTML that needs no script. What is shown is asked over the bus with the visitor's own token, so that the services
//! decide who sees what; the gateway adds nothing to anybody's rights. A write is a form: its origin is checked, it is
//! finished although the browser goes away, and it ends in a redirect with a notice.

mod address;
mod articles;
mod calling_off;
mod counts;
mod desk;
mod forget;
mod form;
mod home;
mod incoming;
mod late;
mod layout;
mod mails;
mod money;
mod notes;
mod orders;
mod pieces;
mod plugins;
mod products;
mod returns;
mod sagas;
mod services;
mod session;
mod settings;
mod shipping;
mod stock;
mod table;
mod visit;
mod words;

use axum::{Router, http::header, response::IntoResponse, routing};
use bodega_platform::Context;

use desk::Desk;
use visit::{read, table_file, write};

/// The routes of both desks.
pub(crate) fn routes() -> Router<Context> {
    let router =
        Router::new().route("/admin/desk.css", routing::get(style)).route("/admin/icon.svg", routing::get(icon));
    [Desk::Admin, Desk::Merchant].into_iter().fold(router, |router, desk| {
        let at = |path: &str| format!("{}{path}", desk.base());
        let router = router
            .route(&at(""), read(desk, home::show))
            .route(&at("/sign-in"), session::routes(desk))
            .route(&at("/sign-out"), session::sign_out_route(desk))
            .route(&at("/orders"), read(desk, orders::list))
            .route(&at("/orders/{order}"), read(desk, orders::show))
            .route(&at("/orders/{order}/reinstate"), write(desk, late::reinstate))
            .route(&at("/orders/{order}/call-off"), write(desk, calling_off::some))
            .route(&at("/orders/{order}/notes"), write(desk, notes::add))
            .route(&at("/orders/{order}/address"), read(desk, address::show))
            .route(&at("/orders/{order}/ship"), write(desk, shipping::ship))
            .route(&at("/orders/{order}/shipments/{shipment}/track"), write(desk, shipping::track))
            .route(&at("/orders/{order}/shipments/{shipment}/delivered"), write(desk, shipping::deliver))
            .route(&at("/orders/{order}/returns/{return}/decision"), write(desk, returns::decide))
            .route(&at("/orders/{order}/returns/{return}/receipt"), write(desk, returns::receive))
            .route(&at("/returns"), read(desk, returns::list))
            .route(&at("/money"), read(desk, money::show))
            .route(&at("/money/statement.csv"), table_file(desk, "statement.csv", money::download))
            .route(&at("/settings"), read(desk, settings::show).merge(write(desk, settings::change)))
            .route(&at("/settings/stock"), write(desk, settings::change_share))
            .route(&at("/settings/stock-mails"), write(desk, settings::change_stock_mails))
            .route(&at("/products"), read(desk, products::list))
            .route(&at("/products/{slug}"), read(desk, products::show).merge(write(desk, products::change)))
            .route(&at("/stock"), read(desk, stock::list).merge(write(desk, stock::adjust)))
            .route(&at("/stock/transfers"), write(desk, stock::transfer))
            .route(&at("/stock/safety"), write(desk, stock::keep_back))
            .route(&at("/stock/low"), read(desk, incoming::low))
            .route(&at("/stock/reorder-point"), write(desk, incoming::set_reorder_point))
            .route(&at("/stock/incoming"), read(desk, incoming::list).merge(write(desk, incoming::announce)))
            .route(&at("/stock/incoming/{incoming}/receive"), write(desk, incoming::receive))
            .route(&at("/stock/incoming/{incoming}/give-up"), write(desk, incoming::give_up))
            .route(&at("/stock/counts"), write(desk, counts::upload))
            .route(&at("/stock/counts.csv"), table_file(desk, "counts.csv", counts::download))
            .route(&at("/plugins"), read(desk, plugins::list).merge(write(desk, plugins::upload)))
            .route(&at("/plugins/{plugin}/activate"), write(desk, plugins::activate))
            .route(&at("/promotions/{promotion}/deactivate"), write(desk, plugins::deactivate));
        let router = router.route(&at("/{*rest}"), read(desk, services::nothing_here));
        match desk {
            Desk::Merchant => router,
            Desk::Admin => router
                .route(&at("/orders/{order}/cancel"), write(desk, calling_off::whole))
                .route(&at("/orders/{order}/mails/{mail}"), write(desk, mails::resend))
                .route(&at("/orders/{order}/link"), write(desk, orders::renew_link))
                .route(&at("/orders/{order}/give-back"), write(desk, late::give_back))
                .route(&at("/orders/{order}/forget"), write(desk, forget::forget))
                .route(&at("/exceptions/payments/{exception}/close"), write(desk, home::close_payment))
                .route(&at("/exceptions/orders/{exception}/close"), write(desk, home::close_order))
                .route(&at("/money/reconcile"), write(desk, money::reconcile))
                .route(&at("/sagas"), read(desk, sagas::list))
                .route(&at("/sagas/{saga}"), write(desk, sagas::nudge))
                .route(&at("/services"), read(desk, services::show)),
        }
    })
}

async fn style() -> impl IntoResponse {
    asset("text/css; charset=utf-8", include_str!("../../assets/desk.css"))
}

async fn icon() -> impl IntoResponse {
    asset("image/svg+xml", include_str!("../../assets/icon.svg"))
}

fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=600")], text)
}
