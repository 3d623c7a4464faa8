//! `payment.v1.webhook`: a provider's word, verified over its raw bytes, kept as it came, and taken in.

use std::sync::Arc;

use bodega_domain::{
    Code, Failure,
    message::{Done, payment::Webhook},
    payment::Fact,
    token,
};
use bodega_platform::Call;

use crate::{
    State,
    changes::RawWebhook,
    engine::{Command, Target},
    intent::Lesson,
    limits::WEBHOOK_BYTES_MAX,
    provider::{Notice, Shown, WebhookError},
};

pub(crate) async fn webhook(state: Arc<State>, _call: Call, request: Webhook) -> Result<Done, Failure> {
    let provider = state.providers.get(&request.provider).ok_or_else(|| Failure::from(Code::NotFound))?;
    let body = token::from_base64url(&request.body).ok_or_else(|| Failure::from(Code::MalformedBody))?;
    if body.len() > WEBHOOK_BYTES_MAX {
        return Err(Code::PayloadTooLarge.into());
    }
    let notice = match provider.verify(&request.headers, &body, state.context.clock().now()) {
        Ok(notice) => notice,
        Err(WebhookError::Signature) => return Err(Code::WebhookSignatureInvalid.into()),
        // Signed, and nothing that we can read: kept for a person. Sent again, it would say no more.
        Err(WebhookError::Body) => {
            let event = format!("unread:{}", token::sha256_hex(&body));
            tracing::error!(provider = request.provider, event, "a signed webhook cannot be read");
            Notice { event, shown: None }
        }
    };
    let (target, lesson) = taught(&request.provider, notice.shown);
    let raw = RawWebhook { provider: request.provider, event: notice.event, body };
    let taken = state.command(Command::Learn { target, lesson: Box::new(lesson), raw: Some(raw.clone()) }).await;
    if let Err(failure) = &taken
        && failure.code == Code::Internal
    {
        // It is kept even so, for a person to look at; the provider sends it again.
        tracing::error!(event = raw.event, "a webhook could not be taken in");
        let kept = Command::Learn { target: Target::Nothing, lesson: Box::default(), raw: Some(raw) };
        state.command(kept).await?;
    }
    taken.map(|_| Done {})
}

/// What a webhook teaches, and about which payment.
pub(crate) fn taught(provider: &str, shown: Option<Shown>) -> (Target, Lesson) {
    let mut lesson = Lesson::default();
    let target = match shown {
        Some(Shown::Intent(seen)) => {
            let target = match seen.intent {
                Some(intent) => Target::Intent(intent),
                None => Target::Reference(provider.to_owned(), seen.reference.clone()),
            };
            lesson.seen = Some(seen);
            target
        }
        Some(Shown::Dispute(dispute)) => {
            lesson.facts.push(Fact::Disputed(dispute.amount));
            let target = Target::Reference(provider.to_owned(), dispute.reference.clone());
            lesson.dispute = Some(dispute);
            target
        }
        None => Target::Nothing,
    };
    (target, lesson)
}
