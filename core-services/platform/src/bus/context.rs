//! What a request carries beside its body: its id, its deadline, and for whom it speaks.

use std::time::Duration;

use async_nats::HeaderMap;
use bodega_domain::{Timestamp, id::RequestId, message::header, principal::Principal};

use crate::{clock::Clock, entropy::Entropy};

/// Name of the header by which one service tells another that it asks for itself. It only counts on subjects that no
/// edge may publish on, so that nobody outside can claim it.
pub const SERVICE_HEADER: &str = "Bodega-Service";

/// Bytes of a `traceparent` header (W3C Trace Context, version 00).
const TRACEPARENT_BYTES: usize = 55;

/// For whom a request speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Speaker {
    /// The asking service itself.
    Service,
    /// A shopper, merchant or admin: their token, forwarded unchanged, or none.
    Bearer(Option<String>),
}

/// Goes with every request, so that one id, one deadline and one trace run through all services that take part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestContext {
    /// In every log line on the way.
    pub request_id: RequestId,
    /// After this nothing new may be begun.
    pub deadline: Option<Timestamp>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    speaker: Speaker,
}

impl RequestContext {
    /// A request that a service makes on its own account: a saga step, a sweep, a start.
    #[must_use]
    pub fn service(clock: &Clock, entropy: &Entropy) -> Self {
        Self {
            request_id: RequestId::new(clock.now().unix_ms(), entropy.bytes()),
            deadline: None,
            traceparent: None,
            speaker: Speaker::Service,
        }
    }

    /// A request on behalf of whoever holds the token (or of nobody): what the gateway sends.
    #[must_use]
    pub fn bearer(request_id: RequestId, token: Option<String>) -> Self {
        Self { request_id, deadline: None, traceparent: None, speaker: Speaker::Bearer(token) }
    }

    /// The same request, with a deadline.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Timestamp) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The same request, to be finished this long from now, or at its deadline when that is earlier.
    #[must_use]
    pub fn within(mut self, clock: &Clock, time: Duration) -> Self {
        let latest = clock.now().plus_ms(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        self.deadline = Some(self.deadline.map_or(latest, |deadline| deadline.min(latest)));
        self
    }

    pub(crate) fn to_headers(&self, service: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::REQUEST_ID, self.request_id.to_string());
        if let Some(deadline) = self.deadline {
            headers.insert(header::DEADLINE, deadline.unix_ms().to_string());
        }
        if let Some(trace) = &self.traceparent {
            headers.insert(header::TRACE, trace.as_str());
        }
        match &self.speaker {
            Speaker::Service => headers.insert(SERVICE_HEADER, service),
            Speaker::Bearer(Some(token)) => headers.insert(header::TOKEN, token.as_str()),
            Speaker::Bearer(None) => {}
        }
        headers
    }
}

/// The headers of a request as they arrived; nothing in them is trusted yet.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) request_id: RequestId,
    pub(crate) deadline: Option<Timestamp>,
    pub(crate) traceparent: Option<String>,
    pub(crate) token: Option<String>,
    pub(crate) service: Option<String>,
}

impl Arrived {
    pub(crate) fn read(headers: Option<&HeaderMap>, clock: &Clock, entropy: &Entropy) -> Self {
        let get = |name: &str| headers.and_then(|h| h.get(name)).map(|v| v.as_str().to_owned());
        Self {
            request_id: get(header::REQUEST_ID)
                .and_then(|text| text.parse().ok())
                .unwrap_or_else(|| RequestId::new(clock.now().unix_ms(), entropy.bytes())),
            deadline: get(header::DEADLINE).and_then(|text| text.parse().ok()).map(Timestamp::from_unix_ms),
            traceparent: get(header::TRACE).filter(|text| text.len() == TRACEPARENT_BYTES && text.is_ascii()),
            token: get(header::TOKEN).filter(|text| !text.is_empty()),
            service: get(SERVICE_HEADER),
        }
    }
}

impl Arrived {
    /// The trace's id: the second field of `traceparent`.
    pub(crate) fn trace_id(&self) -> Option<&str> {
        self.traceparent.as_deref()?.split('-').nth(1)
    }
}

/// A request as its handler sees it, beside its body: who asks, and the context for asking others.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who asks, verified.
    pub principal: Principal,
    /// For requests to other services that this one causes: same id, deadline and trace, in this service's own name.
    pub context: RequestContext,
    token: Option<String>,
}

impl Call {
    pub(crate) fn new(principal: Principal, arrived: Arrived) -> Self {
        Self {
            principal,
            context: RequestContext {
                request_id: arrived.request_id,
                deadline: arrived.deadline,
                traceparent: arrived.traceparent,
                speaker: Speaker::Service,
            },
            token: arrived.token,
        }
    }

    /// For requests that are passed on in the asker's own name.
    #[must_use]
    pub fn on_behalf(&self) -> RequestContext {
        RequestContext { speaker: Speaker::Bearer(self.token.clone()), ..self.context.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_service_sends_another_reads() {
        let id = RequestId::from_u128(7);
        let sent = RequestContext::bearer(id, Some("g1.a.b.c".into())).with_deadline(Timestamp::from_unix_ms(99));
        let read = Arrived::read(Some(&sent.to_headers("gateway")), &Clock::system(), &Entropy);
        assert_eq!((read.request_id, read.deadline), (id, Some(Timestamp::from_unix_ms(99))));
        assert_eq!((read.token.as_deref(), read.service), (Some("g1.a.b.c"), None));
    }

    #[test]
    fn a_caused_request_keeps_the_id_and_speaks_for_the_service() {
        let sent = RequestContext::bearer(RequestId::from_u128(7), Some("g1.a.b.c".into()));
        let arrived = Arrived::read(Some(&sent.to_headers("gateway")), &Clock::system(), &Entropy);
        let call = Call::new(Principal::Anonymous, arrived);
        let caused = Arrived::read(Some(&call.context.to_headers("order")), &Clock::system(), &Entropy);
        assert_eq!((caused.request_id, caused.token), (RequestId::from_u128(7), None));
        assert_eq!(caused.service.as_deref(), Some("order"));
        assert_eq!(call.on_behalf(), call.on_behalf());
        assert_eq!(call.on_behalf().speaker, Speaker::Bearer(Some("g1.a.b.c".into())));
    }

    #[test]
    fn a_trace_goes_on_and_its_id_is_known() {
        let mut sent = RequestContext::bearer(RequestId::from_u128(7), None);
        sent.traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into());
        let arrived = Arrived::read(Some(&sent.to_headers("gateway")), &Clock::system(), &Entropy);
        assert_eq!(arrived.trace_id(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        assert_eq!(Call::new(Principal::Anonymous, arrived).context.traceparent, sent.traceparent);
    }

    #[test]
    fn nonsense_in_headers_is_passed_over() {
        let mut headers = HeaderMap::new();
        headers.insert(header::REQUEST_ID, "'; drop table");
        headers.insert(header::DEADLINE, "soon");
        headers.insert(header::TRACE, "x");
        let read = Arrived::read(Some(&headers), &Clock::system(), &Entropy);
        assert_eq!((read.deadline, read.traceparent, read.token), (None, None, None));
        assert!(read.request_id.as_u128() > 0);
    }
}
