//! One visit of a signed-in person: from the cookie to the answer.

use std::{collections::HashMap, future::Future, sync::Arc};

use axum::{
    extract::{FromRequestParts as _, Path, Query, Request, State},
    http::{HeaderMap, HeaderValue, Uri, header},
    response::Response,
    routing::{self, MethodRouter},
};
use bodega_domain::{
    Code, Failure,
    id::RequestId,
    message::{Request as Message, identity::Refresh},
    principal::Principal,
};
use bodega_platform::{Context, RequestContext};

use super::{
    desk::Desk,
    form::{Form, is_from_here},
    layout::{Page, document, trouble},
    session::{self, Tokens, ask_to_sign_in, html, see},
};
use crate::exchange::{Exchange, REQUEST_TIMEOUT_MS};

/// Who visits, and what they sent.
pub(crate) struct Visit {
    pub(crate) desk: Desk,
    pub(crate) context: Context,
    pub(crate) principal: Principal,
    pub(crate) form: Form,
    path: HashMap<String, String>,
    query: HashMap<String, String>,
    request_id: RequestId,
    token: String,
}

impl Visit {
    /// Asks a service with the visitor's own token.
    pub(crate) async fn ask<R: Message + Sync>(&self, message: R) -> Result<R::Answer, Failure> {
        let asked = RequestContext::bearer(self.request_id, Some(self.token.clone())).with_deadline(self.deadline());
        self.context.bus().request(&message, &asked).await.map_err(Failure::from)
    }

    /// Asks for what has no owner and only services may ask (names of articles, tax classes), never for anybody's data.
    pub(crate) async fn ask_as_service<R: Message + Sync>(&self, message: R) -> Result<R::Answer, Failure> {
        let asked = self.context.request_context().with_deadline(self.deadline());
        self.context.bus().request(&message, &asked).await.map_err(Failure::from)
    }

    fn deadline(&self) -> bodega_domain::Timestamp {
        self.context.clock().now().plus_ms(REQUEST_TIMEOUT_MS)
    }

    pub(crate) fn is_admin(&self) -> bool {
        self.desk == Desk::Admin
    }

    /// An address of this desk.
    pub(crate) fn at(&self, path: impl std::fmt::Display) -> String {
        format!("{}{path}", self.desk.base())
    }

    /// A parameter of the query, unless it is empty.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(crate) fn cursor(&self) -> Option<String> {
        self.query("cursor").map(str::to_owned)
    }

    /// A part of the path; what is no id names nothing.
    pub(crate) fn part<T: std::str::FromStr>(&self, name: &str) -> Result<T, Failure> {
        self.path.get(name).and_then(|text| text.parse().ok()).ok_or_else(|| Code::NotFound.into())
    }

    /// A fresh key for a form, so that a form that is sent twice counts once.
    pub(crate) fn key(&self) -> String {
        format!("desk-{}", bodega_domain::token::base64url(&self.context.entropy().bytes::<16>()))
    }
}

/// What a form has done: where to go, and what to say there.
pub(crate) struct Done {
    pub(crate) to: String,
    pub(crate) said: String,
}

/// A page at GET.
pub(crate) fn read<F, Fut>(desk: Desk, handler: F) -> MethodRouter<Context>
where
    F: Fn(Arc<Visit>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Page, Failure>> + Send + 'static,
{
    get(desk, handler, move |page, asked, uri, renewed| {
        let (said, cleared) = session::notice(desk, asked).unzip();
        let document = document(desk, Some(uri.path()), said.as_deref(), &page);
        html(200, document, renewed.into_iter().chain(cleared.flatten()))
    })
}

/// A table at GET, as a file to be kept.
pub(crate) fn table_file<F, Fut>(desk: Desk, name: &'static str, handler: F) -> MethodRouter<Context>
where
    F: Fn(Arc<Visit>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Vec<u8>, Failure>> + Send + 'static,
{
    get(desk, handler, move |table: Vec<u8>, _, _, renewed| {
        let mut response = Response::new(table.into());
        let kept = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
        let kept = kept.unwrap_or(HeaderValue::from_static("attachment"));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
        headers.insert(header::CONTENT_DISPOSITION, kept);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(renewed.map(|cookie| (header::SET_COOKIE, cookie)));
        response
    })
}

/// What a handler gives at GET, answered as `answer` makes it; a refusal is a page, whatever was asked for.
fn get<T, F, Fut>(
    desk: Desk,
    handler: F,
    answer: impl Fn(T, &HeaderMap, &Uri, Option<HeaderValue>) -> Response + Clone + Send + Sync + 'static,
) -> MethodRouter<Context>
where
    T: 'static,
    F: Fn(Arc<Visit>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<T, Failure>> + Send + 'static,
{
    routing::get(move |State(context): State<Context>, exchange: Exchange, request: Request| async move {
        let (asked, uri) = (request.headers().clone(), request.uri().clone());
        let mut renewed = None;
        let read = match enter(desk, &context, &exchange, request, &mut renewed).await {
            Ok(visit) => handler(Arc::new(visit)).await,
            Err(refused) => Err(refused),
        };
        match read {
            Ok(read) => answer(read, &asked, &uri, renewed),
            Err(failure) => refuse(desk, &exchange, &asked, &Asked::Page(uri), &failure, renewed),
        }
    })
}

/// A form at POST.
pub(crate) fn write<F, Fut>(desk: Desk, handler: F) -> MethodRouter<Context>
where
    F: Fn(Arc<Visit>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Done, Failure>> + Send + 'static,
{
    routing::post(move |State(context): State<Context>, exchange: Exchange, request: Request| async move {
        let (asked, form) = (request.headers().clone(), Asked::Form(request.uri().clone()));
        if !is_from_here(&asked) {
            return refuse(desk, &exchange, &asked, &form, &Code::OriginForbidden.into(), None);
        }
        let mut renewed = None;
        let visit = match enter(desk, &context, &exchange, request, &mut renewed).await {
            Ok(visit) => visit,
            Err(refused) => return refuse(desk, &exchange, &asked, &form, &refused, renewed),
        };
        // Finished whether or not the browser waits for it.
        let work = handler(Arc::new(visit));
        match context.tasks().request(work).await.unwrap_or_else(|_| Err(Failure::internal())) {
            Ok(done) => see(&done.to, renewed.into_iter().chain(session::leave_notice(desk, &asked, &done.said))),
            Err(failure) => refuse(desk, &exchange, &asked, &form, &failure, renewed),
        }
    })
}

/// Lets somebody in. A session that was carried on is in `renewed` also when what follows is refused: its old refresh
/// token is used up, and an answer without the new one would sign the visitor out.
async fn enter(
    desk: Desk,
    context: &Context,
    exchange: &Exchange,
    request: Request,
    renewed: &mut Option<HeaderValue>,
) -> Result<Visit, Failure> {
    let tokens = Tokens::of(desk, request.headers()).ok_or(Code::Unauthenticated)?;
    let mut token = tokens.access;
    let principal = match context.authenticator().principal(Some(&token)) {
        Err(failure) if failure.code == Code::SessionExpired => {
            let asked = RequestContext::bearer(exchange.request_id, None)
                .with_deadline(context.clock().now().plus_ms(REQUEST_TIMEOUT_MS));
            let opened = context.bus().request(&Refresh { refresh: tokens.refresh }, &asked).await?;
            *renewed = session::keep(desk, request.headers(), &opened, context.clock().now());
            token = opened.token;
            context.authenticator().principal(Some(&token))?
        }
        known => known?,
    };
    if !desk.admits(&principal) {
        return Err(Code::Forbidden.into());
    }
    let (mut parts, body) = request.into_parts();
    let path = Path::<HashMap<String, String>>::from_request_parts(&mut parts, &())
        .await
        .map(|Path(values)| values)
        .unwrap_or_default();
    let Query(query) = Query::try_from_uri(&parts.uri)
        .map_err(|_| Failure::new(Code::BadRequest, "The query of the address could not be read."))?;
    let is_form = parts.method == axum::http::Method::POST;
    let form = if is_form { Form::of(Request::from_parts(parts, body)).await? } else { Form::default() };
    let context = context.clone();
    Ok(Visit { desk, context, principal, form, path, query, request_id: exchange.request_id, token })
}

/// What was asked for: an address that can be read, or one that only forms are sent to.
enum Asked {
    Page(Uri),
    Form(Uri),
}

/// The page of this desk that the visitor came from.
fn came_from(desk: Desk, asked: &HeaderMap) -> Option<String> {
    let text = |name: &str| asked.get(name).and_then(|value| value.to_str().ok());
    let address: Uri = text("referer")?.parse().ok()?;
    let is_here = address.authority().map(axum::http::uri::Authority::as_str) == text("host");
    let page = address.path_and_query()?.to_string();
    (is_here && page.starts_with(desk.base())).then_some(page)
}

/// A refusal as a page, or the sign-in page when that would help.
fn refuse(
    desk: Desk,
    exchange: &Exchange,
    asked: &HeaderMap,
    what: &Asked,
    failure: &Failure,
    renewed: Option<HeaderValue>,
) -> Response {
    let came_from = came_from(desk, asked);
    let (Asked::Page(uri) | Asked::Form(uri)) = what;
    if matches!(failure.code, Code::Unauthenticated | Code::SessionExpired | Code::CredentialsInvalid) {
        // Signing in leads on to a page: what a form is sent to cannot be read.
        let wanted = match what {
            Asked::Page(uri) => uri.path_and_query().map(ToString::to_string),
            Asked::Form(_) => came_from,
        };
        return ask_to_sign_in(desk, wanted.as_deref().unwrap_or(desk.base()), asked);
    }
    // From a list's bad address back to the list; from a form back to its page.
    let back = came_from.filter(|back| back != uri.path()).unwrap_or_else(|| desk.base().to_owned());
    let page = trouble(failure, &exchange.request_id.to_string(), &back);
    let is_inside = !matches!(failure.code, Code::Forbidden);
    let path = is_inside.then(|| uri.path());
    html(failure.code.http_status(), document(desk, path, None, &page), renewed)
}
