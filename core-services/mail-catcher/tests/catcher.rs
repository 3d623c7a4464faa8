//! The catcher as senders and readers see it: over SMTP and HTTP alone.

mod support;

use bodega_mail_catcher::{KEPT_MAX, MAIL_BYTES_MAX, MailCatcher, Options, RECIPIENTS_MAX};
use bodega_tests::eventually;
use lettre::message::MultiPart;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use serde_json::json;
use support::{Dialogue, authority, catcher, mails, refuse};

const TO: &str = "ana@example.org";

#[tokio::test]
async fn a_mail_of_two_parts_is_shown_decoded() {
    let catcher = catcher().await;
    let mut dialogue = Dialogue::open(&catcher).await;
    let raw = "From: Corner Shop <shop@bodega.example>\nTo: ana@example.org\n\
        Subject: =?utf-8?B?WW91ciBvcmRlciDwn42e?=\n =?utf-8?Q?_and_gr=C3=BC=C3=9Fe?=\nMessage-ID: <1@bodega.example>\n\
        MIME-Version: 1.0\nContent-Type: multipart/alternative;\n boundary=\"b\"\n\n\
        --b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n\
        Gr=C3=BC=C3=9Fe, a long =\nline.\n..\n..stuffed\n\
        --b\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: base64\n\n\
        PHA+R3LDvMOfZTwvcD4=\n--b--\n";
    assert_eq!(dialogue.mail(&[TO, "copy@example.org"], raw).await, 250);
    assert_eq!(dialogue.say("QUIT").await, 221);

    let mail = &mails(&catcher, "ANA@example.org").await[0];
    assert_eq!(mail["subject"], "Your order 🍞 and grüße");
    assert_eq!(mail["from"], "Corner Shop <shop@bodega.example>");
    assert_eq!(mail["to"], json!([TO, "copy@example.org"]));
    let text = mail["text"].as_str().unwrap().replace("\r\n", "\n");
    assert_eq!(text.trim_end(), "Grüße, a long line.\n.\n.stuffed");
    assert_eq!(mail["html"], "<p>Grüße</p>");
    assert!(mail["received_at"].as_str().unwrap().ends_with('Z'), "{mail}");
    assert_eq!(catcher.mails_to(TO)[0].header("message-id"), Some("<1@bodega.example>"));
    let kind = catcher.mails_to(TO)[0].header("content-type").map(str::to_owned);
    assert_eq!(kind.as_deref(), Some("multipart/alternative; boundary=\"b\""));
    assert!(mails(&catcher, "nobody@example.org").await.is_empty());
}

#[tokio::test]
async fn a_mail_of_one_part_has_no_other() {
    let catcher = catcher().await;
    let mut dialogue = Dialogue::open(&catcher).await;
    dialogue.mail(&[TO], "Subject: plain\n\nHello").await;
    dialogue.mail(&[TO], "Subject: rich\nContent-Type: text/html\n\n<b>Hello</b>").await;
    dialogue.mail(&[TO], "no header at all").await;
    let mails = mails(&catcher, TO).await;
    assert_eq!((&mails[2]["text"], &mails[2]["html"]), (&json!("Hello\r\n"), &json!(null)));
    assert_eq!((&mails[1]["text"], &mails[1]["html"]), (&json!(null), &json!("<b>Hello</b>\r\n")));
    assert_eq!((&mails[0]["text"], &mails[0]["subject"]), (&json!("no header at all\r\n"), &json!("")));
    assert_eq!(mails[0]["from"], "shop@bodega.example");
}

#[tokio::test]
async fn the_library_that_the_shop_sends_with_is_understood() {
    let catcher = catcher().await;
    let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(&catcher.smtp_url()).unwrap().build();
    let (text, html) = ("Grüße\n.\nend".to_owned(), "<p>Grüße</p>".to_owned());
    let message = Message::builder()
        .from("Corner Shop <shop@bodega.example>".parse().unwrap())
        .to(TO.parse().unwrap())
        .subject("Thank you · 1000")
        .multipart(MultiPart::alternative_plain_html(text, html))
        .unwrap();
    transport.send(message.clone()).await.unwrap();
    let mail = &catcher.mails_to(TO)[0];
    assert_eq!((mail.subject.as_str(), mail.html.as_deref()), ("Thank you · 1000", Some("<p>Grüße</p>")));
    assert_eq!(mail.text.as_deref().map(|text| text.replace("\r\n", "\n")).as_deref(), Some("Grüße\n.\nend"));

    assert_eq!(refuse(&catcher, json!({"code": 451, "times": 1})).await, 204);
    assert!(transport.send(message.clone()).await.unwrap_err().is_transient());
    assert_eq!(refuse(&catcher, json!({"code": 550, "times": 1})).await, 204);
    assert!(transport.send(message.clone()).await.unwrap_err().is_permanent());
    transport.send(message).await.unwrap();
    assert_eq!(catcher.mails_to(TO).len(), 2);
}

#[tokio::test]
async fn refusals_are_counted_and_then_over() {
    let catcher = catcher().await;
    let mut dialogue = Dialogue::open(&catcher).await;
    assert_eq!(refuse(&catcher, json!({"code": 451, "times": 2})).await, 204);
    assert_eq!(dialogue.say("MAIL FROM:<shop@bodega.example>").await, 250);
    for code in [451, 451, 250] {
        assert_eq!(dialogue.say("RCPT TO:<ana@example.org>").await, code);
    }
    assert_eq!(refuse(&catcher, json!({"code": 550, "times": 9})).await, 204);
    assert_eq!(dialogue.say("RCPT TO:<ana@example.org>").await, 550);
    assert_eq!(refuse(&catcher, json!({"code": 550, "times": 0})).await, 204);
    assert_eq!(dialogue.say("RCPT TO:<ana@example.org>").await, 250);
    for body in [json!({"code": 200, "times": 1}), json!({"code": 451}), json!({"code": 451, "times": -1})] {
        assert_eq!(refuse(&catcher, body).await, 422);
    }
    let form = reqwest::Client::new().post(format!("{}/api/refuse", catcher.url())).body("code=550&times=1");
    assert_eq!(form.send().await.unwrap().status().as_u16(), 415, "a page of another site can send no more than this");
}

#[tokio::test]
async fn the_newest_are_kept_and_all_can_be_forgotten() {
    let catcher = catcher().await;
    let mut dialogue = Dialogue::open(&catcher).await;
    for number in 1..=KEPT_MAX + 2 {
        dialogue.mail(&[TO], &format!("Subject: {number}\n\n")).await;
    }
    let kept = catcher.mails_to(TO);
    assert_eq!(kept.len(), KEPT_MAX);
    assert_eq!((kept[0].subject.as_str(), kept[KEPT_MAX - 1].subject.as_str()), ("1002", "3"));
    let gone = reqwest::get(format!("{}/mails/1", catcher.url())).await.unwrap();
    assert_eq!(gone.status().as_u16(), 404);
    let forget = reqwest::Client::new().delete(format!("{}/api/mails", catcher.url())).send().await.unwrap();
    assert_eq!(forget.status().as_u16(), 204);
    assert!(catcher.mails_to(TO).is_empty());
}

#[tokio::test]
async fn a_mail_that_is_too_large_and_too_many_recipients_are_refused() {
    let catcher = catcher().await;
    let mut dialogue = Dialogue::open(&catcher).await;
    let line = "x".repeat(998);
    let lines = |count: usize| format!("Subject: large\n\n{}", vec![line.as_str(); count].join("\n"));
    assert_eq!(dialogue.mail(&[TO], &lines(MAIL_BYTES_MAX / 1_000 - 1)).await, 250);
    assert_eq!(dialogue.mail(&[TO], &lines(MAIL_BYTES_MAX / 1_000 + 1)).await, 552);
    assert_eq!(dialogue.hear().await, None, "the conversation is over");
    assert_eq!(catcher.mails_to(TO).len(), 1);

    let mut dialogue = Dialogue::open(&catcher).await;
    assert_eq!(dialogue.say("MAIL FROM:<shop@bodega.example>").await, 250);
    for _ in 0..RECIPIENTS_MAX {
        assert_eq!(dialogue.say("RCPT TO:<ana@example.org>").await, 250);
    }
    assert_eq!(dialogue.say("RCPT TO:<ana@example.org>").await, 452);
}

#[tokio::test]
async fn nothing_that_a_sender_does_ends_it() {
    let catcher = catcher().await;
    let binary: Vec<u8> = (0..=255).cycle().take(40_000).collect();
    // A line without an end, before and within a mail.
    for begin in ["", "MAIL FROM:<a@b.example>\r\nRCPT TO:<ana@example.org>\r\nDATA\r\n"] {
        let mut dialogue = Dialogue::open(&catcher).await;
        dialogue.send(begin.as_bytes()).await;
        dialogue.send(&vec![b'x'; 4 * 1024 * 1024]).await;
        while dialogue.hear().await.is_some() {}
    }
    // Bytes instead of commands: each line of them is an error, and the conversation goes on.
    let mut dialogue = Dialogue::open(&catcher).await;
    dialogue.send(&binary).await;
    dialogue.send(b"\r\nQUIT\r\n").await;
    let mut answers = Vec::new();
    while let Some((code, _)) = dialogue.hear().await {
        answers.push(code);
    }
    assert_eq!((answers.first(), answers.last()), (Some(&500), Some(&221)));
    // Gone in the middle of a mail, and of a line.
    let mut dialogue = Dialogue::open(&catcher).await;
    dialogue.head(&[TO]).await;
    dialogue.send(b"Subject: half\r\n\r\nhal").await;
    drop(dialogue);
    // Out of order, and no commands at all.
    let mut dialogue = Dialogue::open(&catcher).await;
    for line in ["DATA", "RCPT TO:<ana@example.org>", "STARTTLS", "AUTH PLAIN AGEAYg==", "MAIL FROM:<>", "", "\0", "é"]
    {
        assert!(dialogue.say(line).await >= 500, "{line}");
    }
    // Mails that are none: bytes, parts without an end, parts within parts.
    dialogue.head(&[TO]).await;
    dialogue.send(b"Subject: \xff\xfe\r\nContent-Type: text/plain; charset=nonsense\r\n\r\n").await;
    dialogue.send(&binary.iter().copied().filter(|byte| *byte != b'.').collect::<Vec<u8>>()).await;
    assert_eq!(dialogue.say("\r\n.").await, 250);
    let unfinished = "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: message/rfc822\n\n";
    assert_eq!(dialogue.mail(&[TO], &unfinished.repeat(500)).await, 250);
    assert_eq!(dialogue.mail(&[TO], "Subject: =?utf-8?B?%%%?= =?x?Q?=zz?=\nContent-Type: ;;;=\n\n=").await, 250);
    let empty_break =
        "Content-Type: multipart/mixed; boundary=y\n\n--y\nContent-Transfer-Encoding: quoted-printable\n\n=\n--y--";
    assert_eq!(dialogue.mail(&[TO], empty_break).await, 250);
    assert_eq!(dialogue.mail(&[TO], "Subject: still there\n\nyes").await, 250);
    assert_eq!(mails(&catcher, TO).await[0]["subject"], "still there");
    assert_eq!(mails(&catcher, TO).await.len(), 5);
}

#[tokio::test]
async fn the_pages_show_a_mail_and_run_nothing_of_it() {
    let catcher = catcher().await;
    let page = |path: &str| {
        let url = format!("{}{path}", catcher.url());
        async move {
            let answer = reqwest::get(url).await.unwrap();
            let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
            (answer.status().as_u16(), policy, answer.text().await.unwrap())
        }
    };
    let (_, policy, empty) = page("/").await;
    assert!(empty.contains("No mail yet") && policy.contains("default-src 'none'"), "{policy} {empty}");
    let mut dialogue = Dialogue::open(&catcher).await;
    let raw = "Subject: <script>alert(1)</script>\nX-Evil: \"><img src=x>\nContent-Type: text/html\n\n\
        <script>alert(2)</script><p>Hello</p>";
    assert_eq!(dialogue.mail(&[TO], raw).await, 250);

    let (_, _, list) = page("/").await;
    assert!(list.contains("&lt;script&gt;alert(1)") && list.contains("/mails/1") && list.contains(TO), "{list}");
    let (_, _, mail) = page("/mails/1").await;
    assert!(mail.contains("<iframe sandbox=\"\" src=\"/mails/1/html\""), "{mail}");
    assert!(!mail.contains("<script") && !mail.contains("<img"), "{mail}");
    let (_, policy, body) = page("/mails/1/html").await;
    assert!(body.contains("<p>Hello</p>"), "{body}");
    assert!(policy.starts_with("sandbox; default-src 'none';") && !policy.contains("allow-"), "{policy}");
    for path in ["/mails/2", "/mails/2/html"] {
        assert_eq!(page(path).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn it_listens_on_loopback_and_leaves_its_ports_when_it_stops() {
    let catcher = catcher().await;
    let address = |url: &str| authority(url).parse::<std::net::SocketAddr>().unwrap();
    let (smtp, http) = (address(&catcher.smtp_url()), address(&catcher.url()));
    assert!(smtp.ip().is_loopback() && http.ip().is_loopback());
    assert!(MailCatcher::start(Options { smtp, ..Options::default() }).await.is_err(), "the port is taken");
    let mut dialogue = Dialogue::open(&catcher).await;
    catcher.stop().await;
    assert_eq!(dialogue.hear().await, None);

    let again = MailCatcher::start(Options { smtp, http }).await.unwrap();
    let mut dialogue = Dialogue::open(&again).await;
    drop(again);
    assert_eq!(dialogue.hear().await, None);
    eventually("both ports are free", async || {
        (std::net::TcpListener::bind(smtp).is_ok() && std::net::TcpListener::bind(http).is_ok()).then_some(())
    })
    .await;
}
