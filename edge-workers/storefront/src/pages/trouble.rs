//! What went wrong, for people: not found, core away, outcome unknown, and the rest.

use bodega_domain::{Code, Failure};
use maud::{Markup, html};

use super::frame::{Frame, known, page};
use crate::{platform::Platform, visit::Visit};

/// A page for a refusal.
pub(crate) async fn show<P: Platform>(visit: &Visit<'_, P>, failure: &Failure) -> Markup {
    let status = failure.code.http_status();
    let (mark, title) = match failure.code {
        Code::CoreUnavailable | Code::Overloaded | Code::DeadlineExceeded => {
            ("Back in a minute", "The till is away for a moment")
        }
        Code::EdgeNotReady => ("Just opening", "We are still filling the shelves"),
        Code::OutcomeUnknown => ("One moment", "We do not know yet what became of it"),
        _ if status == 404 => ("Nothing here", "We could not find that"),
        _ if status >= 500 => ("Oh dear", "Something broke on our side"),
        _ => ("Not quite", failure.code.title()),
    };
    let content = html! {
        section.trouble {
            p.mark aria-hidden="true" { (mark) }
            h1 { (title) }
            p { (failure.detail) }
            @if !failure.fields.is_empty() {
                ul { @for field in &failure.fields { li { (field.detail) } } }
            }
            @if matches!(failure.code, Code::CoreUnavailable | Code::Overloaded | Code::DeadlineExceeded) {
                p { "The shelves and your basket are still here. Nothing was ordered and nothing was charged." }
            }
            p.ways { a.button href="/" { "Back to the shop" } " " a.button.quiet href="/cart" { "Your basket" } }
            p.fine { code { (failure.code) } " · request " code { (visit.id) } }
        }
    };
    page(visit, Frame { title, private: true, ..Frame::default() }, known(visit), content)
}
