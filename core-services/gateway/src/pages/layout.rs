//! The frame around every page.

use bodega_domain::{Code, Failure};
use maud::{DOCTYPE, Markup, html};

use super::desk::Desk;

/// A page's own part.
pub(crate) struct Page {
    pub(crate) title: String,
    pub(crate) body: Markup,
}

impl Page {
    pub(crate) fn new(title: impl Into<String>, body: Markup) -> Self {
        Self { title: title.into(), body }
    }
}

/// A whole document. `path` is where the visitor is; `None` for nobody who is signed in.
pub(crate) fn document(desk: Desk, path: Option<&str>, notice: Option<&str>, page: &Page) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (page.title) " · Bodega " (desk.name()) }
                link rel="icon" href="/admin/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/admin/desk.css";
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header.top {
                    div.awning {}
                    div.bar {
                        a.sign href=(desk.base()) { "Bodega" span.desk { (desk.name()) } }
                        @if let Some(path) = path { (menu(desk, path)) (sign_out(desk)) }
                    }
                }
                main id="main" tabindex="-1" {
                    @if let Some(notice) = notice { p.notice.good role="status" { (notice) } }
                    h1 { (page.title) }
                    (page.body)
                }
                footer.foot { p { "Times are UTC." } }
            }
        }
    }
}

fn menu(desk: Desk, path: &str) -> Markup {
    let inside = path.strip_prefix(desk.base()).unwrap_or(path);
    let is_current = |page: &str| if page.is_empty() { inside.is_empty() } else { inside.starts_with(page) };
    html! {
        nav.menu aria-label="Dashboard" {
            ul {
                @for (name, page) in desk.pages() {
                    li {
                        a href={ (desk.base()) (page) } aria-current=[is_current(page).then_some("page")] { (name) }
                    }
                }
            }
        }
    }
}

fn sign_out(desk: Desk) -> Markup {
    html! {
        form.out method="post" action={ (desk.base()) "/sign-out" } { button.link type="submit" { "Sign out" } }
    }
}

/// A refusal, for people.
pub(crate) fn trouble(failure: &Failure, request_id: &str, back: &str) -> Page {
    let is_ours = failure.code.http_status() >= 500;
    let body = html! {
        div.notice.bad role="alert" {
            @if failure.detail != failure.code.title() { p { (failure.detail) } }
            @else { p { (advice(failure.code)) } }
            @if !failure.fields.is_empty() {
                ul { @for field in &failure.fields { li { code { (field.pointer) } " " (field.detail) } } }
            }
            @if let Some(seconds) = failure.retry_after_s { p { "Try again in " (wait(seconds)) "." } }
        }
        p { a.button.quiet href=(back) { "Go back" } }
        @if is_ours { p.fine { "For the log: " code { (failure.code) } ", request " code { (request_id) } "." } }
    };
    Page::new(failure.code.title(), body)
}

fn advice(code: Code) -> &'static str {
    match code {
        Code::CoreUnavailable | Code::Overloaded | Code::DeadlineExceeded => "Nothing was done. Try again in a moment.",
        Code::OutcomeUnknown => "It may have been done. Look before you do it again.",
        Code::OriginForbidden => "This form was not sent from the dashboard, so nothing was done.",
        Code::Forbidden => "Your account may not do this.",
        Code::PreconditionFailed => {
            "Somebody changed it while you were editing. Look at it as it is now and repeat your change."
        }
        _ => "Nothing was changed.",
    }
}

/// Seconds for people.
pub(crate) fn wait(seconds: u32) -> String {
    match seconds {
        0..=1 => "a second".to_owned(),
        2..=90 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}
