//! Sends what is due. A server's "not now" is tried again with a pause that doubles; its "never" ends a mail, and so do
//! three days.

use std::{sync::Arc, time::Duration};

use bodega_domain::{
    Failure, Timestamp,
    id::MailId,
    message::{notification::MailState, order::Mailing},
};
use bodega_platform::{CallError, Context, config::MailConfig, telemetry::metrics};
use futures::future::join_all;
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, MultiPart},
};

use crate::{
    compose::{self, Letter},
    stock,
    store::{self, Mail},
};

/// Milliseconds between two looks for mails that are due.
const LOOK_EVERY_MS: u64 = 1_000;
/// Mails that are taken, and sent side by side.
pub(crate) const LEASE_MAX: i64 = 8;
/// Seconds for which a taken mail is nobody else's: longer than a server may take.
pub(crate) const LEASE_S: i64 = 120;
/// Seconds that a mail server may take for a mail.
const SERVER_TIMEOUT_S: u64 = 60;
/// Seconds until a mail that was not taken is tried again, doubled at each try.
const AGAIN_AFTER_S: i64 = 30;
/// Seconds between two tries, at most.
const AGAIN_AFTER_MAX_S: i64 = 3_600;
/// Days after which a mail is given up: it would tell of another world.
pub(crate) const GIVEN_UP_AFTER_DAYS: i64 = 3;

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// Sends until the process stops.
pub(crate) async fn run(context: Context) {
    let post = Post::open(&context);
    if post.is_none() {
        tracing::warn!("no mail is sent: there is no [mail] in the configuration");
    }
    let post = Arc::new(post);
    while !context.tasks().pause(Duration::from_millis(LOOK_EVERY_MS)).await {
        let now = context.clock().now();
        match store::lease(context.postgres().pool(), now, now.plus_s(LEASE_S), LEASE_MAX).await {
            Ok(mails) if mails.is_empty() => {}
            Ok(mails) => drop(join_all(mails.iter().map(|mail| see_to(&context, (*post).as_ref(), mail))).await),
            Err(error) => tracing::warn!(%error, "mails that are due could not be looked for"),
        }
        if let Err(error) = stock::tell(&context, (*post).as_ref()).await {
            tracing::warn!(%error, "what merchants are to be told could not be read or written");
        }
    }
}

/// Where mails go out.
pub(crate) struct Post {
    transport: Transport,
    from: Mailbox,
    /// What the ids of mails end with.
    domain: String,
}

/// Asks the configured mail server whether it is there.
///
/// # Errors
/// What is wrong, without the server's address: it may hold a password.
pub async fn reach(mail: &MailConfig, patience: Duration) -> Result<(), String> {
    let transport = transport(mail, patience).map_err(|error| error.to_string())?;
    match tokio::time::timeout(patience, transport.test_connection()).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err("it answers, and takes no mail".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it takes the connection and says nothing".to_owned()),
    }
}

fn transport(mail: &MailConfig, patience: Duration) -> Result<Transport, lettre::transport::smtp::Error> {
    Ok(Transport::from_url(mail.smtp_url.expose())?.timeout(Some(patience)).build())
}

impl Post {
    fn open(context: &Context) -> Option<Self> {
        let mail = context.config().mail.as_ref()?;
        // The configuration was checked when it was read; what the library still refuses is told once.
        let transport = transport(mail, Duration::from_secs(SERVER_TIMEOUT_S))
            .inspect_err(|error| tracing::error!(%error, "the address of the mail server cannot be used"))
            .ok()?;
        let from: Mailbox =
            mail.from.parse().inspect_err(|_| tracing::error!("the sender of mails cannot be read")).ok()?;
        let domain = from.email.domain().to_owned();
        Some(Self { transport, from, domain })
    }

    /// Gives a letter to the mail server.
    pub(crate) async fn deliver(&self, id: MailId, email: &str, letter: Letter) -> Outcome {
        // Checked when it was given to us, so what the library will not take is no address that anybody has.
        let Some(message) = self.message(id, email, letter) else { return Outcome::Never("address".to_owned()) };
        // The library's own timeout ends with the connection: a server that takes it and says nothing would hold us for ever.
        let sent = tokio::time::timeout(Duration::from_secs(SERVER_TIMEOUT_S), self.transport.send(message)).await;
        match sent {
            Err(_) => Outcome::Again("silent".to_owned()),
            Ok(Ok(_)) => Outcome::Sent,
            // The server's words may name the buyer: its code says enough. What it says of us, a wrong password for instance,
            // is put right by an operator, and the mail waits for that.
            Ok(Err(error)) if is_about_the_address(&error) => Outcome::Never(status(&error)),
            Ok(Err(error)) => {
                tracing::warn!(mail = %id, status = status(&error), "the mail server did not take a mail");
                Outcome::Again(status(&error))
            }
        }
    }

    fn message(&self, id: MailId, email: &str, letter: Letter) -> Option<Message> {
        // Without the name: a display name of any script is one more thing that servers trip over.
        let to = Mailbox::new(None, email.parse().ok()?);
        Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(letter.subject)
            .message_id(Some(format!("<{id}@{}>", self.domain)))
            .multipart(MultiPart::alternative_plain_html(letter.text, letter.html))
            .ok()
    }
}

/// What became of a try.
pub(crate) enum Outcome {
    Sent,
    Skipped(&'static str),
    Again(String),
    Never(String),
}

async fn see_to(context: &Context, post: Option<&Post>, mail: &Mail) {
    let now = context.clock().now();
    let outcome = match post {
        None => Outcome::Skipped("mail_off"),
        Some(post) => send(context, post, mail).await,
    };
    let old = now.ms_since(mail.view.created_at) >= GIVEN_UP_AFTER_DAYS * 86_400_000;
    let (state, reason, due) = match &outcome {
        Outcome::Sent => (MailState::Sent, None, None),
        Outcome::Skipped(why) => (MailState::Skipped, Some(*why), None),
        Outcome::Never(why) => (MailState::GivenUp, Some(why.as_str()), None),
        Outcome::Again(why) if old => (MailState::GivenUp, Some(why.as_str()), None),
        Outcome::Again(why) => (MailState::Due, Some(why.as_str()), Some(again(now, mail.view.attempts))),
    };
    let labels = [("kind", mail.view.kind.as_str()), ("state", state.as_str())];
    metrics::counter("bodega_mails_total", &labels).add(1);
    if let (MailState::GivenUp, Some(reason)) = (state, reason) {
        tracing::error!(mail = %mail.view.id, order = %mail.view.order, reason, "a mail is given up");
    }
    // What cannot be written now is tried again when its lease is over.
    let written = store::end(context.postgres().pool(), mail.view.id, state, reason, due, context.clock().now()).await;
    if let Err(error) = written {
        tracing::warn!(%error, mail = %mail.view.id, "what became of a mail was not written");
    }
}

/// When something is tried again that was tried so often.
pub(crate) fn again(now: Timestamp, attempts: u32) -> Timestamp {
    let doublings = attempts.saturating_sub(1).min(10);
    now.plus_s(AGAIN_AFTER_S.saturating_mul(1 << doublings).min(AGAIN_AFTER_MAX_S))
}

async fn send(context: &Context, post: &Post, mail: &Mail) -> Outcome {
    let asked = context.bus().request(&Mailing { order: mail.view.order }, &context.request_context()).await;
    let to = match asked {
        Ok(to) => to,
        Err(CallError::Refused(failure)) if failure.code == bodega_domain::Code::OrderNotFound => {
            return Outcome::Skipped("no_order");
        }
        Err(error) => return Outcome::Again(Failure::from(error).code.to_string()),
    };
    let Some(contact) = &to.contact else { return Outcome::Skipped("forgotten") };
    let shop = context.config().deployment.storefront_url.trim_end_matches('/');
    let Some(letter) = compose::letter(mail, &to.order, &contact.name, shop) else {
        return Outcome::Skipped("not_true_any_more");
    };
    context.failpoints().hit("notification.before_send").await;
    let outcome = post.deliver(mail.view.id, &contact.email, letter).await;
    context.failpoints().hit("notification.after_send").await;
    outcome
}

/// 550 to 553: no such mailbox, or none that takes mail (RFC 5321).
fn is_about_the_address(error: &lettre::transport::smtp::Error) -> bool {
    let code = error.status().and_then(|code| code.to_string().parse::<u16>().ok());
    code.is_some_and(|code| (550..=553).contains(&code))
}

fn status(error: &lettre::transport::smtp::Error) -> String {
    error.status().map_or_else(|| "unreachable".to_owned(), |code| code.to_string())
}
