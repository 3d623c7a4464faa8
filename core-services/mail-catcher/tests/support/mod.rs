//! A catcher, and a sender who types SMTP by hand.

use std::time::Duration;

use bodega_mail_catcher::{MailCatcher, Options};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) async fn catcher() -> MailCatcher {
    MailCatcher::start(Options::default()).await.unwrap()
}

/// Where a URL leads.
pub(crate) fn authority(url: &str) -> &str {
    url.split_once("://").unwrap().1
}

/// One conversation.
pub(crate) struct Dialogue(BufReader<TcpStream>);

impl Dialogue {
    pub(crate) async fn open(catcher: &MailCatcher) -> Self {
        let stream = TcpStream::connect(authority(&catcher.smtp_url())).await.unwrap();
        let mut dialogue = Dialogue(BufReader::new(stream));
        assert_eq!(dialogue.hear().await.unwrap().0, 220);
        assert_eq!(dialogue.say("EHLO test.example").await, 250);
        dialogue
    }

    /// The code and the last line of the next answer; `None` when the other side has gone.
    pub(crate) async fn hear(&mut self) -> Option<(u16, String)> {
        loop {
            let mut line = String::new();
            let read = tokio::time::timeout(PATIENCE, self.0.read_line(&mut line)).await.expect("an answer in time");
            if read.unwrap_or(0) == 0 {
                return None;
            }
            if line.as_bytes()[3] == b' ' {
                return Some((line[..3].parse().unwrap(), line));
            }
        }
    }

    pub(crate) async fn say(&mut self, line: &str) -> u16 {
        self.send(format!("{line}\r\n").as_bytes()).await;
        self.hear().await.unwrap().0
    }

    /// Sends bytes; the other side may have gone.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.get_mut().write_all(bytes).await;
    }

    pub(crate) async fn head(&mut self, to: &[&str]) {
        assert_eq!(self.say("MAIL FROM:<shop@bodega.example>").await, 250);
        for to in to {
            assert_eq!(self.say(&format!("RCPT TO:<{to}>")).await, 250);
        }
        assert_eq!(self.say("DATA").await, 354);
    }

    /// A whole mail; `raw` is sent as it is, so dots are stuffed by the caller.
    pub(crate) async fn mail(&mut self, to: &[&str], raw: &str) -> u16 {
        self.head(to).await;
        self.say(&format!("{}\r\n.", raw.replace('\n', "\r\n"))).await
    }
}

/// The JSON of the mails for an address.
pub(crate) async fn mails(catcher: &MailCatcher, to: &str) -> Vec<Value> {
    let url = format!("{}/api/mails?to={to}", catcher.url());
    reqwest::get(url).await.unwrap().json().await.unwrap()
}

pub(crate) async fn refuse(catcher: &MailCatcher, body: Value) -> u16 {
    let url = format!("{}/api/refuse", catcher.url());
    reqwest::Client::new().post(url).json(&body).send().await.unwrap().status().as_u16()
}
