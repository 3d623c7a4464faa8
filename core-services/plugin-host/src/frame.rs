//! Frames on the pipe: four bytes of length, big-endian, then so many bytes of JSON.

use crate::limits::FRAME_BYTES_MAX;
use serde::{Serialize, de::DeserializeOwned};
use std::io::{self, Read, Write};
use tokio::io::{AsyncRead, AsyncReadExt};

/// What goes wrong with a frame. The stream is of no use after any of these.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pipe broke, or ended inside a frame.
    #[error("the pipe broke: {0}")]
    Pipe(#[from] io::Error),
    /// The length says more than a frame may have.
    #[error("a frame of {0} bytes, {FRAME_BYTES_MAX} are allowed")]
    TooLarge(usize),
    /// The content is not what was expected.
    #[error("a frame that is not understood: {0}")]
    Json(#[from] serde_json::Error),
}

/// The whole frame for a message.
///
/// # Errors
/// [`Error::TooLarge`] when the message does not fit.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, Error> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let length = frame.len() - 4;
    match u32::try_from(length) {
        Ok(prefix) if length <= FRAME_BYTES_MAX => frame[..4].copy_from_slice(&prefix.to_be_bytes()),
        _ => return Err(Error::TooLarge(length)),
    }
    Ok(frame)
}

/// Writes one message and flushes.
///
/// # Errors
/// When it does not fit or the pipe breaks.
pub fn write<T: Serialize>(to: &mut impl Write, message: &T) -> Result<(), Error> {
    to.write_all(&encode(message)?)?;
    Ok(to.flush()?)
}

/// Reads one frame's content; `None` when the other side has closed the pipe between two frames.
///
/// # Errors
/// When the frame is too large or the pipe ends inside it.
pub fn read(from: &mut impl Read) -> Result<Option<Vec<u8>>, Error> {
    let mut prefix = [0; 4];
    // One byte first: the end of the stream is an orderly end only here.
    if from.read(&mut prefix[..1])? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut prefix[1..])?;
    let mut content = vec![0; length(prefix)?];
    from.read_exact(&mut content)?;
    Ok(Some(content))
}

/// Reads one message without blocking a thread.
///
/// # Errors
/// When the frame is too large, is not a `T`, or the pipe ends.
pub async fn read_message<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> Result<T, Error> {
    let mut prefix = [0; 4];
    from.read_exact(&mut prefix).await?;
    let mut content = vec![0; length(prefix)?];
    from.read_exact(&mut content).await?;
    Ok(serde_json::from_slice(&content)?)
}

fn length(prefix: [u8; 4]) -> Result<usize, Error> {
    match usize::try_from(u32::from_be_bytes(prefix)) {
        Ok(length) if length <= FRAME_BYTES_MAX => Ok(length),
        Ok(length) => Err(Error::TooLarge(length)),
        Err(_) => Err(Error::TooLarge(usize::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_pipe_and_its_end_is_seen() {
        let mut pipe = Vec::new();
        write(&mut pipe, &"ping").expect("it fits");
        write(&mut pipe, &vec![1, 2]).expect("it fits");
        let mut pipe = pipe.as_slice();
        assert_eq!(read(&mut pipe).expect("a frame"), Some(b"\"ping\"".to_vec()));
        assert_eq!(read(&mut pipe).expect("a frame"), Some(b"[1,2]".to_vec()));
        assert_eq!(read(&mut pipe).expect("the end"), None);
    }

    #[test]
    fn a_frame_cut_short_is_an_error_and_not_an_end() {
        for cut in [&[0, 0][..], &[0, 0, 0, 2, b'1'][..]] {
            assert!(matches!(read(&mut &*cut), Err(Error::Pipe(_))), "{cut:?}");
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_memory_is_asked_for() {
        assert!(matches!(read(&mut &[0xff, 0xff, 0xff, 0xff][..]), Err(Error::TooLarge(_))));
    }
}
