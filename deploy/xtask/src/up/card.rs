//! The card at the end of `up`: where everything is and who can sign in.

use super::flags::Flags;
use crate::progress::bold;
use bodega_stack::shop::{Login, Ports};
use serde_json::json;
use std::fmt::Write as _;
use std::path::Path;

/// What is on the card.
#[derive(Debug)]
pub(crate) struct Card<'a> {
    pub(crate) ports: &'a Ports,
    pub(crate) logins: &'a [Login],
    pub(crate) folder: &'a Path,
    pub(crate) flags: &'a Flags,
}

impl Card<'_> {
    /// For people.
    pub(crate) fn to_text(&self, elapsed: &str) -> String {
        let mut text = format!("\n{}  after {elapsed}\n\n", bold("The shop is open."));
        for (name, url) in self.addresses() {
            let _ = writeln!(text, "  {name:<24} {url}");
        }
        if !self.flags.no_seed {
            text.push('\n');
            for Login { role, email, password } in self.logins {
                let _ = writeln!(text, "  {role:<10} {email:<28} {password}");
            }
        }
        let _ = writeln!(text, "\n  data and logs in {}", self.folder.display());
        text.push_str("  Ctrl-C closes the shop; the next `cargo xtask up` finds its data again.\n");
        text
    }

    /// For programs: `up.json`.
    pub(crate) fn to_json(&self) -> String {
        let Ports { edge, gateway, metrics, simulator, mail_catcher, smtp, cloudflare, postgres, nats, redis, .. } =
            *self.ports;
        let edges: Vec<String> = (0..self.flags.edges).map(|number| loopback(edge.saturating_add(number))).collect();
        let logins: Vec<_> = self
            .logins
            .iter()
            .map(|login| json!({"role": login.role, "email": login.email, "password": login.password}))
            .collect();
        let card = json!({
            "edges": edges,
            "cloudflare": self.flags.cloudflare.then(|| loopback(cloudflare)),
            "gateway": loopback(gateway),
            "metrics": loopback(metrics),
            "simulator": loopback(simulator),
            "mail_catcher": loopback(mail_catcher),
            "ports": {"postgres": postgres, "nats": nats, "redis": redis, "smtp": smtp},
            "configuration": self.folder.join("bodega.toml"),
            "logins": logins,
        });
        format!("{card:#}\n")
    }

    fn addresses(&self) -> Vec<(String, String)> {
        let ports = self.ports;
        let mut list: Vec<(String, String)> = (0..self.flags.edges)
            .map(|number| {
                let name =
                    if number == 0 { "storefront".to_owned() } else { format!("storefront, edge {}", number + 1) };
                (name, loopback(ports.edge.saturating_add(number)))
            })
            .collect();
        if self.flags.cloudflare {
            list.push(("storefront in workerd".to_owned(), loopback(ports.cloudflare)));
        }
        list.push(("dashboard".to_owned(), format!("{}/admin", loopback(ports.gateway))));
        list.push(("merchant pages".to_owned(), format!("{}/merchant", loopback(ports.gateway))));
        list.push(("API of the core".to_owned(), format!("{}/openapi.json", loopback(ports.gateway))));
        list.push(("payment simulator".to_owned(), loopback(ports.simulator)));
        let mails = format!("{} (every mail of this shop)", loopback(ports.mail_catcher));
        list.push(("mail catcher".to_owned(), mails));
        list.push(("metrics of the core".to_owned(), format!("{}/metrics", loopback(ports.metrics))));
        list
    }
}

fn loopback(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
