//! The catcher as a process: prints one `READY` line, stops on Ctrl-C or SIGTERM.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use bodega_mail_catcher::{MailCatcher, Options};
use clap::Parser;

/// A mail server that delivers nothing and shows everything.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// Address to listen on. There is no password: whoever reaches it reads every mail.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// Port of the page; 0 takes a free one.
    #[arg(long, env = "BODEGA_MAIL_CATCHER_PORT", default_value_t = 8025)]
    port: u16,
    /// Port for mail; 0 takes a free one.
    #[arg(long, env = "BODEGA_MAIL_CATCHER_SMTP_PORT", default_value_t = 1025)]
    smtp_port: u16,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = Options {
        smtp: SocketAddr::new(arguments.bind, arguments.smtp_port),
        http: SocketAddr::new(arguments.bind, arguments.port),
    };
    let catcher = match MailCatcher::start(options).await {
        Ok(catcher) => catcher,
        Err(error) => {
            eprintln!("mail catcher: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("READY {} {}", catcher.url(), catcher.smtp_url());
    asked_to_stop().await;
    catcher.stop().await;
    ExitCode::SUCCESS
}

async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
