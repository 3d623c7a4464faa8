//! A mail as people read it: encodings undone, parts chosen.

use bodega_domain::Timestamp;
use mail_parser::{Message, MessageParser, PartType};
use serde::Serialize;

/// Whom the server was told about, whatever the mail itself says.
#[derive(Debug, Default)]
pub(crate) struct Envelope {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
}

/// A mail that was caught.
#[derive(Debug, Clone, Serialize)]
pub struct Mail {
    /// Its number, from 1, in order of arrival.
    pub id: u64,
    /// When it came.
    pub received_at: Timestamp,
    /// The sender as the mail names it, else the envelope's.
    pub from: String,
    /// The recipients of the envelope.
    pub to: Vec<String>,
    /// Empty when it has none.
    pub subject: String,
    /// The plain text; of a mail that cannot be read as one, all of it.
    pub text: Option<String>,
    /// The HTML.
    pub html: Option<String>,
    /// Every header, in order.
    pub headers: Vec<Header>,
}

/// One line of a mail's head.
#[derive(Debug, Clone, Serialize)]
pub struct Header {
    /// As it was written.
    pub name: String,
    /// Unfolded and decoded.
    pub value: String,
}

impl Mail {
    /// The value of the first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value.as_str())
    }

    /// Whether it came for this address.
    pub(crate) fn is_for(&self, address: &str) -> bool {
        self.to.iter().any(|to| to.eq_ignore_ascii_case(address))
    }

    /// Reads what was sent. It never fails: what is no mail is shown as it came.
    pub(crate) fn read(received_at: Timestamp, envelope: Envelope, raw: &[u8]) -> Mail {
        let Envelope { from, to } = envelope;
        let mut mail =
            Mail { id: 0, received_at, from, to, subject: String::new(), text: None, html: None, headers: Vec::new() };
        let message = parse(raw).filter(|message| !message.headers().is_empty());
        let Some(message) = message else {
            mail.text = Some(String::from_utf8_lossy(raw).into_owned());
            return mail;
        };
        mail.headers = headers(&message, raw);
        if let Some(from) = mail.header("From") {
            mail.from = from.to_owned();
        }
        mail.subject = mail.header("Subject").unwrap_or_default().to_owned();
        // The parser makes a text of an HTML part where there is none: only what was sent counts.
        mail.text = message.text_bodies().find_map(|part| match &part.body {
            PartType::Text(text) => Some(text.to_string()),
            _ => None,
        });
        mail.html = message.html_bodies().find_map(|part| match &part.body {
            PartType::Html(html) => Some(html.to_string()),
            _ => None,
        });
        mail
    }
}

fn parse(raw: &[u8]) -> Option<Message<'_>> {
    // As text, a header keeps the form that its sender gave it, and its words are decoded.
    let parser = MessageParser::new().with_mime_headers().default_header_text();
    // Built for development the parser counts with checks, and panics on some mails that are none.
    std::panic::catch_unwind(|| parser.parse(raw)).ok().flatten()
}

fn headers(message: &Message<'_>, raw: &[u8]) -> Vec<Header> {
    let place = |offset: u32| usize::try_from(offset).unwrap_or(usize::MAX);
    let as_sent = |from: u32, to: u32| {
        let bytes = raw.get(place(from)..place(to)).unwrap_or_default();
        String::from_utf8_lossy(bytes).split_ascii_whitespace().collect::<Vec<_>>().join(" ")
    };
    let header = |header: &mail_parser::Header<'_>| {
        let decoded = header.value().as_text().map(str::to_owned);
        let value = decoded.unwrap_or_else(|| as_sent(header.offset_start(), header.offset_end()));
        Header { name: header.name().to_owned(), value }
    };
    message.headers().iter().map(header).collect()
}
