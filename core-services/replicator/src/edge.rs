//! What is said to an edge over HTTP: where are you, and take this.

use bodega_domain::{replication::EdgePosition, token::sha256_hex};
use reqwest::{Client, Response, StatusCode, header::CONTENT_TYPE};

use crate::limits::ANSWER_BYTES_MAX;

/// Path of the one endpoint.
const INGEST: &str = "/_edge/v1/ingest";

/// Why an edge did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EdgeError {
    /// Not reached, or it stopped answering.
    #[error("not reached: {0}")]
    Unreachable(#[from] reqwest::Error),
    /// It refused our signature: keys, name or clock differ.
    #[error("it refuses the signature: keys, its name or its clock differ")]
    Signature,
    /// It answered otherwise.
    #[error("it answered {0}")]
    Status(StatusCode),
    /// Its answer is not a position.
    #[error("its answer is not a position")]
    Answer,
}

/// What became of a batch.
#[derive(Debug)]
pub(crate) enum Taken {
    /// It was written.
    Yes(EdgePosition),
    /// It was not the next one, or another is being written.
    No(EdgePosition),
}

fn address(url: &str) -> String {
    format!("{}{INGEST}", url.trim_end_matches('/'))
}

/// Where the edge is.
pub(crate) async fn position(http: &Client, url: &str) -> Result<EdgePosition, EdgeError> {
    let response = http.get(address(url)).send().await?;
    match response.status() {
        StatusCode::OK => read(response).await,
        status => Err(EdgeError::Status(status)),
    }
}

/// Gives it a sealed batch.
pub(crate) async fn give(http: &Client, url: &str, batch: Vec<u8>) -> Result<Taken, EdgeError> {
    let response = http.post(address(url)).header(CONTENT_TYPE, "application/octet-stream").body(batch).send().await?;
    match response.status() {
        StatusCode::OK => Ok(Taken::Yes(read(response).await?)),
        StatusCode::CONFLICT => Ok(Taken::No(read(response).await?)),
        StatusCode::UNAUTHORIZED => Err(EdgeError::Signature),
        status => Err(EdgeError::Status(status)),
    }
}

/// A position, beside whatever else the answer has. Bounded: an edge is not trusted with our memory.
async fn read(mut response: Response) -> Result<EdgePosition, EdgeError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err(EdgeError::Answer);
        }
    }
    serde_json::from_slice(&bytes).map_err(|_| EdgeError::Answer)
}

/// Header and hash of a sealed batch of ours.
pub(crate) fn header_of(batch: &[u8]) -> Option<(bodega_domain::replication::BatchHeader, String)> {
    let (length, rest) = batch.split_first_chunk::<4>()?;
    let head = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    Some((serde_json::from_slice(head).ok()?, sha256_hex(head)))
}
