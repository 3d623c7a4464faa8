//! Asking the core: one typed request, one typed answer, and two ways of not getting one that are never mixed up.

use bodega_domain::{
    Code, Failure,
    message::{Reply, Request, header},
};

use crate::{
    platform::{CoreRequest, LinkError, Platform},
    visit::Visit,
};

/// Milliseconds that a request may reach the core after it has been given up here. The deadline is read on another
/// machine's clock, which may be ahead; what is given up here is read, merged or keyed, and may well be done.
const CLOCK_SLACK_MS: i64 = 5_000;

/// How long an answer is waited for, and until when the core may begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    wait_ms: i64,
    slack_ms: i64,
}

impl Patience {
    /// Waits so many milliseconds; a core whose clock is ahead by less than [`CLOCK_SLACK_MS`] answers all the same.
    pub(crate) const fn of(wait_ms: i64) -> Self {
        Self { wait_ms, slack_ms: CLOCK_SLACK_MS }
    }

    /// The same, where the core must not begin once nobody waits any more.
    pub(crate) const fn strictly(wait_ms: i64) -> Self {
        Self { wait_ms, slack_ms: 0 }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum AskError {
    /// The core refused, and says why.
    Refused(Failure),
    /// Surely nothing was done.
    Unavailable,
    /// It may have been done or not.
    Unknown,
}

impl AskError {
    /// As the answer to something that changes nothing, so that not knowing is the same as not done.
    pub(crate) fn of_read(self) -> Failure {
        match self {
            Self::Refused(failure) => failure,
            Self::Unavailable | Self::Unknown => unavailable(),
        }
    }

    /// As the answer to a command whose outcome can be asked for, or that can be repeated safely, in the way `again` says.
    pub(crate) fn of_command(self, again: &str) -> Failure {
        match self {
            Self::Refused(failure) => failure,
            Self::Unavailable => unavailable(),
            Self::Unknown => Failure::new(Code::OutcomeUnknown, again),
        }
    }
}

/// Surely nothing was done.
pub(crate) fn unavailable() -> Failure {
    Failure::new(
        Code::CoreUnavailable,
        "The shop's core cannot be reached just now. Nothing was done; try again shortly.",
    )
    .retry_after_s(2)
}

/// Asks a service with the shopper's own token and waits at most `wait_ms`.
pub(crate) async fn ask<P: Platform, R: Request>(
    visit: &Visit<'_, P>,
    token: Option<&str>,
    request: &R,
    wait_ms: i64,
) -> Result<R::Answer, AskError> {
    ask_with(visit, token, request, Patience::of(wait_ms)).await
}

/// The same with a patience of one's own.
pub(crate) async fn ask_with<P: Platform, R: Request>(
    visit: &Visit<'_, P>,
    token: Option<&str>,
    request: &R,
    patience: Patience,
) -> Result<R::Answer, AskError> {
    visit.count_core_call();
    let trace = visit.header(header::TRACE).filter(|trace| is_trace(trace));
    match ask_by(visit.platform, &visit.id, token, trace, request, patience).await {
        Ok(answer) => Ok(answer),
        Err((error, None)) => Err(error),
        Err((error, Some(detail))) => {
            visit.warn(R::SUBJECT, &detail);
            Err(error)
        }
    }
}

/// The same without a visit, for work that goes on after the answer. The second part of an error is for the log.
pub(crate) async fn ask_by<P: Platform, R: Request>(
    platform: &P,
    request_id: &str,
    token: Option<&str>,
    trace: Option<&str>,
    request: &R,
    patience: Patience,
) -> Result<R::Answer, (AskError, Option<String>)> {
    let payload = serde_json::to_vec(request)
        .map_err(|error| (AskError::Refused(Failure::internal()), Some(error.to_string())))?;
    let deadline_ms = platform.now_ms().saturating_add(patience.wait_ms);
    let deadline = deadline_ms.saturating_add(patience.slack_ms).to_string();
    let mut headers = vec![(header::REQUEST_ID, request_id), (header::DEADLINE, deadline.as_str())];
    headers.extend(token.map(|token| (header::TOKEN, token)));
    headers.extend(trace.map(|trace| (header::TRACE, trace)));
    let asked =
        platform.request(CoreRequest { subject: R::SUBJECT, headers: &headers, payload: &payload, deadline_ms }).await;
    let bytes = match asked {
        Ok(bytes) => bytes,
        Err(LinkError::Unavailable(detail)) => return Err((AskError::Unavailable, Some(detail))),
        Err(LinkError::Unknown(detail)) => return Err((AskError::Unknown, Some(detail))),
    };
    match serde_json::from_slice::<Reply<R::Answer>>(&bytes) {
        Ok(Reply::Ok(answer)) => Ok(answer),
        Ok(Reply::Failure(failure)) => Err((AskError::Refused(failure), None)),
        // Somebody answered, in a language we do not know: it may have been done.
        Err(error) => Err((AskError::Unknown, Some(format!("unreadable answer: {error}")))),
    }
}

/// Whether it has the form of a W3C trace parent: nothing else is passed on.
fn is_trace(text: &str) -> bool {
    text.len() == 55 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}
