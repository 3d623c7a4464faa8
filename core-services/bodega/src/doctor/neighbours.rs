//! What the core talks to over HTTP: its own ports, its edges, its payment providers.

use std::{error::Error, net::SocketAddr, time::Duration};

use bodega_domain::{
    message::catalog::{Digests, DigestsAnswer},
    replication::EdgePosition,
};
use bodega_platform::{Bus, Clock, Entropy, RequestContext};
use reqwest::Client;

use super::{CONNECT_PATIENCE_S, Finding, wrong};

/// Bytes of an answer that are read at most: a position has some 300.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The same kind of client that the services use.
pub(super) fn client() -> Result<Client, reqwest::Error> {
    Client::builder()
        .timeout(Duration::from_secs(CONNECT_PATIENCE_S))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
}

/// Free, or taken by somebody who answers as this shop does.
pub(super) async fn port(http: &Client, address: SocketAddr) -> Finding {
    match tokio::net::TcpListener::bind(address).await {
        Ok(_) => Finding::Fine(format!("{address} is free: `bodega serve` does not run")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let mut local = address;
            if local.ip().is_unspecified() {
                local.set_ip(if local.is_ipv4() {
                    std::net::Ipv4Addr::LOCALHOST.into()
                } else {
                    std::net::Ipv6Addr::LOCALHOST.into()
                });
            }
            match http.get(format!("http://{local}/readyz")).send().await {
                Ok(answer) if answer.status() == 200 => Finding::Fine(format!("{address} answers that it is ready")),
                Ok(answer) if answer.status() == 503 => {
                    wrong(format!("{address} answers that it is not ready"), "look at the log of `bodega serve`")
                }
                _ => wrong(format!("{address} is taken by another program"), "stop that, or choose another in [http]"),
            }
        }
        Err(error) => wrong(format!("{address}: {error}"), "choose another in [http]"),
    }
}

/// What the catalogue says of itself, if it runs.
pub(super) async fn catalogue(bus: &Bus) -> Option<DigestsAnswer> {
    let clock = Clock::system();
    let patience = Duration::from_secs(CONNECT_PATIENCE_S);
    let context = RequestContext::service(&clock, &Entropy).within(&clock, patience);
    bus.request(&Digests {}, &context).await.ok()
}

/// Asks an edge how far it is, and compares that with the catalogue.
pub(super) async fn edge(http: &Client, url: &str, catalogue: Option<&DigestsAnswer>) -> Finding {
    let address = format!("{}/_edge/v1/ingest", url.trim_end_matches('/'));
    let position = match position(http, &address).await {
        Ok(position) => position,
        Err(error) => {
            return wrong(format!("{address}: {error}"), "start it, and look at its url in [replicator] edges");
        }
    };
    compare(&position, catalogue)
}

async fn position(http: &Client, address: &str) -> Result<EdgePosition, Box<dyn Error>> {
    let mut answer = http.get(address).send().await.map_err(|error| reason(&error))?;
    if answer.status() != 200 {
        return Err(format!("it answers {}", answer.status()).into());
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_BYTES_MAX {
            break;
        }
    }
    serde_json::from_slice(&bytes).map_err(|_| "it does not answer as an edge does".into())
}

fn compare(edge: &EdgePosition, catalogue: Option<&DigestsAnswer>) -> Finding {
    let at = edge.position;
    if !edge.ready {
        return wrong(
            format!("it has no whole catalogue yet, it is at {at}"),
            "wait for its snapshot; if it does not move: `bodega serve` must run `replicator`, and the edge's name and \
             replication_keys must be those of [replicator] and [keys]",
        );
    }
    let Some(catalogue) = catalogue else {
        return Finding::Fine(format!("at {at}; the catalogue does not answer, so nothing to compare with"));
    };
    if edge.epoch != catalogue.epoch {
        return wrong("it shows another epoch of the catalogue", "the replicator gives it a snapshot when it runs");
    }
    if at < catalogue.position {
        return Finding::Fine(format!("at {at}, {} changes behind the catalogue", catalogue.position - at));
    }
    let sum = |(keys, digest): (i64, u64), (more, hex): &(i64, String)| {
        (keys + more, digest.wrapping_add(u64::from_str_radix(hex, 16).unwrap_or_default()))
    };
    let theirs = catalogue.kinds.values().fold((0, 0), sum);
    if at == catalogue.position && theirs != (edge.live_keys, edge.digest) {
        return wrong(
            "its entries are not those of the catalogue",
            "the replicator finds that within a minute and gives it a snapshot",
        );
    }
    Finding::Fine(format!("at {at}, as the catalogue is"))
}

/// Whether a provider's address answers at all; its own pages and refusals are answers.
pub(super) async fn provider(http: &Client, base_url: &str) -> Finding {
    match http.get(base_url).send().await {
        Ok(answer) => Finding::Fine(format!("{base_url} answers ({})", answer.status())),
        Err(error) if base_url.starts_with("https:") => wrong(
            format!("{base_url}: {}", reason(&error)),
            "the core speaks plain HTTP only: put a TLS proxy before the provider",
        ),
        Err(error) => wrong(format!("{base_url}: {}", reason(&error)), "start it, or correct its base_url"),
    }
}

/// The innermost cause: what the system said.
fn reason(error: &reqwest::Error) -> String {
    let mut inner: &dyn Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn catalogue() -> DigestsAnswer {
        let kinds = [("product".to_owned(), (2, "ff".to_owned())), ("sku".to_owned(), (3, "1".to_owned()))];
        DigestsAnswer { position: 9, epoch: "e".to_owned(), kinds: BTreeMap::from(kinds) }
    }

    fn edge() -> EdgePosition {
        let epoch = "e".to_owned();
        EdgePosition { epoch, position: 9, ready: true, live_keys: 5, digest: 0x100, ..EdgePosition::default() }
    }

    #[test]
    fn an_edge_that_differs_from_the_catalogue_is_told() {
        let is_fine = |edge: EdgePosition| matches!(compare(&edge, Some(&catalogue())), Finding::Fine(_));
        assert!(is_fine(edge()));
        assert!(is_fine(EdgePosition { position: 8, digest: 0, ..edge() }), "on its way");
        assert!(!is_fine(EdgePosition { ready: false, ..edge() }));
        assert!(!is_fine(EdgePosition { epoch: "before the restore".to_owned(), ..edge() }));
        assert!(!is_fine(EdgePosition { digest: 0xff, ..edge() }));
        assert!(!is_fine(EdgePosition { live_keys: 4, ..edge() }));
    }
}
