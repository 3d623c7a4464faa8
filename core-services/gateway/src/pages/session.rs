//! Signing in and out of a desk. The session is a cookie of that desk's path which no script and no other site can use.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::{self, MethodRouter},
};
use bodega_domain::{
    Code, Failure, Timestamp,
    message::identity::{SessionOpened, SignIn, SignOut},
    token::{base64url, from_base64url},
};
use bodega_platform::{Context, RequestContext};
use maud::{Markup, html};

use super::{
    desk::Desk,
    form::{Form, is_from_here},
    layout::{Page, document, trouble, wait},
};
use crate::exchange::{Exchange, REQUEST_TIMEOUT_MS};

/// Bytes of a notice; a cookie has room for some 4,000.
const NOTICE_BYTES_MAX: usize = 600;

/// What styles and pages may do: nothing but themselves.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// The two tokens inside a desk's cookie.
pub(super) struct Tokens {
    pub(super) access: String,
    pub(super) refresh: String,
}

impl Tokens {
    pub(super) fn of(desk: Desk, headers: &HeaderMap) -> Option<Self> {
        let value = cookie(headers, desk.cookies().0)?;
        let (access, refresh) = value.split_once('~')?;
        Some(Self { access: access.to_owned(), refresh: refresh.to_owned() })
    }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

/// A cookie of the desk. `max_age_s` 0 ends it.
fn set(desk: Desk, asked: &HeaderMap, name: &str, value: &str, max_age_s: i64) -> Option<HeaderValue> {
    let is_tls = asked.get("x-forwarded-proto").is_some_and(|value| value == "https");
    let secure = if is_tls { "; Secure" } else { "" };
    let path = desk.base();
    HeaderValue::from_str(&format!(
        "{name}={value}; Path={path}; Max-Age={max_age_s}; HttpOnly; SameSite=Strict{secure}"
    ))
    .ok()
}

pub(super) fn keep(desk: Desk, asked: &HeaderMap, opened: &SessionOpened, now: Timestamp) -> Option<HeaderValue> {
    let left_s = (opened.refresh_expires.unix_ms() - now.unix_ms()).max(0) / 1_000;
    set(desk, asked, desk.cookies().0, &format!("{}~{}", opened.token, opened.refresh), left_s)
}

fn forget(desk: Desk, asked: &HeaderMap) -> Option<HeaderValue> {
    set(desk, asked, desk.cookies().0, "", 0)
}

/// The notice that the last form left, with the cookie that takes it away.
pub(super) fn notice(desk: Desk, asked: &HeaderMap) -> Option<(String, Option<HeaderValue>)> {
    let name = desk.cookies().1;
    let bytes = from_base64url(cookie(asked, name)?)?;
    Some((String::from_utf8(bytes).ok()?, set(desk, asked, name, "", 0)))
}

pub(super) fn leave_notice(desk: Desk, asked: &HeaderMap, said: &str) -> Option<HeaderValue> {
    let end = said.floor_char_boundary(NOTICE_BYTES_MAX.min(said.len()));
    set(desk, asked, desk.cookies().1, &base64url(&said.as_bytes()[..end]), 60)
}

/// A document as an answer.
pub(super) fn html(status: u16, markup: Markup, cookies: impl IntoIterator<Item = HeaderValue>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Html(markup.into_string())).into_response();
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    with_cookies(response, cookies)
}

/// Another address, to be read.
pub(super) fn see(address: &str, cookies: impl IntoIterator<Item = HeaderValue>) -> Response {
    let location = HeaderValue::from_str(address).unwrap_or(HeaderValue::from_static("/admin"));
    with_cookies((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response(), cookies)
}

fn with_cookies(mut response: Response, cookies: impl IntoIterator<Item = HeaderValue>) -> Response {
    for value in cookies {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

/// Sign in first, then go on to where the visitor wanted to be.
pub(super) fn ask_to_sign_in(desk: Desk, wanted: &str, asked: &HeaderMap) -> Response {
    let address = format!("{}/sign-in?next={}", desk.base(), super::table::escape(wanted));
    see(&address, forget(desk, asked))
}

/// A page of this desk and nothing else: a link to the sign-in page must not lead away from the shop.
fn destination(desk: Desk, wanted: &str) -> String {
    let inside = wanted.strip_prefix(desk.base()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
    let is_plain = wanted.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if inside && is_plain && !wanted.contains("..") { wanted.to_owned() } else { desk.base().to_owned() }
}

pub(super) fn routes(desk: Desk) -> MethodRouter<Context> {
    routing::get(move |request: Request| async move {
        let query = request.uri().query().unwrap_or_default();
        let next = query.split('&').find_map(|pair| pair.strip_prefix("next=")).unwrap_or_default();
        let next = destination(desk, &unescape(next));
        html(200, sign_in_page(desk, &next, "", None), None)
    })
    .post(move |State(context): State<Context>, exchange: Exchange, request: Request| async move {
        let asked = request.headers().clone();
        sign_in(desk, &context, &exchange, request).await.unwrap_or_else(|failure| {
            let page = trouble(&failure, &exchange.request_id.to_string(), &format!("{}/sign-in", desk.base()));
            html(failure.code.http_status(), document(desk, None, None, &page), forget(desk, &asked))
        })
    })
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let pair = tail.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_default()
}

async fn sign_in(desk: Desk, context: &Context, exchange: &Exchange, request: Request) -> Result<Response, Failure> {
    let asked = request.headers().clone();
    if !is_from_here(&asked) {
        return Err(Code::OriginForbidden.into());
    }
    let form = Form::of(request).await?;
    let next = destination(desk, form.text("next"));
    let email = form.text("email").trim().to_owned();
    let limits = |token| {
        RequestContext::bearer(exchange.request_id, token)
            .with_deadline(context.clock().now().plus_ms(REQUEST_TIMEOUT_MS))
    };
    let message = SignIn { email: email.clone(), password: form.text("password").to_owned() };
    let opened = match context.bus().request(&message, &limits(None)).await.map_err(Failure::from) {
        Ok(opened) => opened,
        Err(failure) if failure.code.http_status() < 500 => {
            let status = failure.code.http_status();
            return Ok(html(status, sign_in_page(desk, &next, &email, Some(&failure)), None));
        }
        Err(failure) => return Err(failure),
    };
    let principal = context.authenticator().principal(Some(&opened.token))?;
    let Some(theirs) = Some(desk).filter(|desk| desk.admits(&principal)).or_else(|| Desk::of(&principal)) else {
        // The session is of no use here, so it is not left behind.
        let _ended = context.bus().request(&SignOut::default(), &limits(Some(opened.token))).await;
        let failure =
            Failure::new(Code::Forbidden, "These pages are for merchants and admins. Shoppers sign in at the shop.");
        return Ok(html(403, sign_in_page(desk, &next, &email, Some(&failure)), None));
    };
    let address = if theirs == desk { next } else { theirs.base().to_owned() };
    Ok(see(&address, keep(theirs, &asked, &opened, context.clock().now())))
}

/// Ends the session, also for those who have it from elsewhere.
pub(super) fn sign_out_route(desk: Desk) -> MethodRouter<Context> {
    routing::post(move |State(context): State<Context>, exchange: Exchange, headers: HeaderMap| async move {
        if !is_from_here(&headers) {
            let page = trouble(&Code::OriginForbidden.into(), &exchange.request_id.to_string(), desk.base());
            return html(403, document(desk, None, None, &page), None);
        }
        if let Some(tokens) = Tokens::of(desk, &headers) {
            // Not with the access token: after ten minutes it is refused, and the session would live on for a month.
            let asked = RequestContext::bearer(exchange.request_id, None)
                .with_deadline(context.clock().now().plus_ms(REQUEST_TIMEOUT_MS));
            let sign_out = SignOut { refresh: Some(tokens.refresh) };
            if let Err(error) = context.bus().request(&sign_out, &asked).await {
                tracing::info!(%error, "a session was not ended; it ends by itself");
            }
        }
        see(&format!("{}/sign-in", desk.base()), forget(desk, &headers))
    })
    .get(move || async move { see(desk.base(), None) })
}

fn sign_in_page(desk: Desk, next: &str, email: &str, failure: Option<&Failure>) -> Markup {
    let why = failure.map(|failure| match failure.code {
        Code::CredentialsInvalid => "E-mail or password is wrong.".to_owned(),
        Code::TooManyRequests => {
            let when = failure.retry_after_s.map_or_else(|| "a few minutes".to_owned(), wait);
            format!("Too many attempts. Try again in {when}.")
        }
        _ => failure.detail.clone(),
    });
    let body = html! {
        @if let Some(why) = &why { p.notice.bad role="alert" id="why" { (why) } }
        form.sheet method="post" action={ (desk.base()) "/sign-in" } {
            input type="hidden" name="next" value=(next);
            div.field {
                label for="email" { "E-mail" }
                input id="email" name="email" type="email" required autocomplete="username" maxlength="254"
                    value=(email) aria-describedby=[why.as_ref().map(|_| "why")];
            }
            div.field {
                label for="password" { "Password" }
                input id="password" name="password" type="password" required autocomplete="current-password"
                    maxlength="1000";
            }
            button.button type="submit" { "Sign in" }
            p.fine { "For merchants and admins." }
        }
    };
    document(desk, None, None, &Page::new("Sign in", body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_to_a_page_of_the_desk_only() {
        let to = |wanted: &str| destination(Desk::Admin, wanted);
        assert_eq!(to("/admin/orders?status=paid"), "/admin/orders?status=paid");
        for wanted in [
            "",
            "//evil.example",
            "https://evil.example",
            "/administrator",
            "/admin/../x",
            "/admin/\\e",
            "/admin/\r\nx",
        ] {
            assert_eq!(to(wanted), "/admin", "{wanted:?}");
        }
        assert_eq!(unescape("%2Fadmin%2Forders%3Fa=%zz%"), "/admin/orders?a=%zz%");
    }
}
