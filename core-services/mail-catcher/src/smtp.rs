//! SMTP over a socket: lines in, answers out. What a line means is up to `mailin`; here are the bounds.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use mailin::{Action, Handler, Response, SessionBuilder, response};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::letterbox::{Letterbox, RefusalCode};
use crate::mail::Envelope;

/// Largest mail, bytes.
pub const MAIL_BYTES_MAX: usize = 1024 * 1024;
/// Recipients of one mail: what RFC 5321 asks of every server, and no more.
pub const RECIPIENTS_MAX: usize = 100;
/// Longest line, bytes: RFC 5321 allows 1,000, and not everybody reads it.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Conversations at once; more wait to be taken.
const CONNECTIONS_MAX: usize = 64;
/// What RFC 5321 gives a sender for its next line.
const SILENCE_MAX: Duration = Duration::from_secs(5 * 60);
/// After a connection that could not be taken: file handles come back when others close theirs.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes mail until it is told to stop; conversations end with it.
pub(crate) async fn serve(listener: TcpListener, letterbox: Arc<Letterbox>, stop: CancellationToken) {
    let mut conversations = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            // However it ended: nothing that a sender does ends more than its own conversation.
            Some(_) = conversations.join_next() => {}
            accepted = listener.accept(), if conversations.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, peer)) => {
                    conversations.spawn(talk(stream, peer.ip(), Arc::clone(&letterbox)));
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

async fn talk(mut stream: TcpStream, peer: IpAddr, letterbox: Arc<Letterbox>) -> io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader);
    let mut session = SessionBuilder::new("bodega-mail-catcher").build(peer, Incoming::new(letterbox));
    writer.write_all(&session.greeting().buffer()?).await?;
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut bounded = (&mut reader).take(u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX));
        tokio::time::timeout(SILENCE_MAX, bounded.read_until(b'\n', &mut line)).await??;
        if !line.ends_with(b"\n") {
            if line.len() == LINE_BYTES_MAX {
                writer.write_all(b"500 Line too long\r\n").await?;
            }
            return Ok(());
        }
        let answer = session.process(&line);
        writer.write_all(&answer.buffer()?).await?;
        if answer.action == Action::Close {
            return Ok(());
        }
    }
}

/// The mail that a conversation is about.
struct Incoming {
    letterbox: Arc<Letterbox>,
    recipients: usize,
    envelope: Envelope,
    /// At most one byte more than a mail may have.
    raw: Vec<u8>,
}

impl Incoming {
    fn new(letterbox: Arc<Letterbox>) -> Self {
        Incoming { letterbox, recipients: 0, envelope: Envelope::default(), raw: Vec::new() }
    }
}

impl Handler for Incoming {
    fn mail(&mut self, _: IpAddr, _: &str, _: &str) -> Response {
        self.recipients = 0;
        response::OK
    }

    fn rcpt(&mut self, _: &str) -> Response {
        match self.letterbox.refuses() {
            Some(RefusalCode::Later) => Response::custom(451, "Not now, as ordered".to_owned()),
            Some(RefusalCode::Never) => Response::custom(550, "Never, as ordered".to_owned()),
            None if self.recipients >= RECIPIENTS_MAX => Response::custom(452, "Too many recipients".to_owned()),
            None => {
                self.recipients += 1;
                response::OK
            }
        }
    }

    fn data_start(&mut self, _: &str, from: &str, _: bool, to: &[String]) -> Response {
        self.envelope = Envelope { from: from.to_owned(), to: to.to_vec() };
        self.raw.clear();
        response::OK
    }

    fn data(&mut self, part: &[u8]) -> io::Result<()> {
        let room = (MAIL_BYTES_MAX + 1).saturating_sub(self.raw.len());
        self.raw.extend(part.iter().take(room));
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        let raw = std::mem::take(&mut self.raw);
        if raw.len() > MAIL_BYTES_MAX {
            let mut refused = Response::custom(552, format!("More than {MAIL_BYTES_MAX} bytes"));
            // After any other answer that is an error, `mailin` would go on reading the mail.
            refused.action = Action::Close;
            return refused;
        }
        self.letterbox.put(std::mem::take(&mut self.envelope), &raw);
        response::OK
    }
}
