//! What may stand as a subject, a pattern, a queue group or an inbox token.

use crate::error::Error;
use crate::limits::{INBOX_PREFIX_MAX, SUBJECT_MAX};

/// Why a text is no subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubjectErrorKind {
    /// Nothing, or an empty token as in `a..b`, `.a`, `a.`.
    #[error("a subject has no empty token")]
    EmptyToken,
    /// White space or a control character would end the command early.
    #[error("a subject has no white space and no control character")]
    Whitespace,
    /// `*` or `>` where a literal subject is meant, or `>` before the last token.
    #[error("a wildcard is not allowed there")]
    Wildcard,
    /// Longer than [`SUBJECT_MAX`], or an inbox prefix longer than [`INBOX_PREFIX_MAX`].
    #[error("too long")]
    TooLong,
}

/// A text is no subject.
pub type SubjectError = Error<SubjectErrorKind>;

/// Checks a subject to publish to: tokens divided by dots, no wildcards.
pub fn check_literal(subject: &str) -> Result<(), SubjectError> {
    check_tokens(subject)?;
    if subject.split('.').any(|token| token == "*" || token == ">") {
        return Err(SubjectErrorKind::Wildcard.into());
    }
    Ok(())
}

/// Checks a subject to subscribe to: `*` stands for one token, `>` for all that follow.
pub fn check_pattern(pattern: &str) -> Result<(), SubjectError> {
    check_tokens(pattern)?;
    let mut tokens = pattern.split('.');
    if tokens.any(|token| token == ">") && tokens.next().is_some() {
        return Err(SubjectErrorKind::Wildcard.into());
    }
    Ok(())
}

/// Checks what stands between `_INBOX.` and the number of a request: tokens of letters, digits, `-` and `_`, so that it
/// can never widen a subscription. Several tokens let permissions name the first and the last be random.
pub fn check_inbox_prefix(prefix: &str) -> Result<(), SubjectError> {
    if prefix.is_empty() {
        return Err(SubjectErrorKind::EmptyToken.into());
    }
    if prefix.len() > INBOX_PREFIX_MAX {
        return Err(SubjectErrorKind::TooLong.into());
    }
    if !prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) {
        return Err(SubjectErrorKind::Wildcard.into());
    }
    check_tokens(prefix)
}

fn check_tokens(subject: &str) -> Result<(), SubjectError> {
    if subject.len() > SUBJECT_MAX {
        return Err(SubjectErrorKind::TooLong.into());
    }
    if subject.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(Error::with_detail(
            SubjectErrorKind::Whitespace,
            subject.escape_debug().collect::<alloc::string::String>(),
        ));
    }
    if subject.split('.').any(str::is_empty) {
        return Err(Error::with_detail(SubjectErrorKind::EmptyToken, subject));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_subject_has_tokens_and_no_wildcard() {
        for good in ["a", "order.v1.place", "_INBOX.x.7", "a*b.c>d", "größe.価格"] {
            assert_eq!(check_literal(good), Ok(()), "{good}");
        }
        for (bad, kind) in [
            ("", SubjectErrorKind::EmptyToken),
            ("a..b", SubjectErrorKind::EmptyToken),
            (".a", SubjectErrorKind::EmptyToken),
            ("a.", SubjectErrorKind::EmptyToken),
            ("a b", SubjectErrorKind::Whitespace),
            ("a\r\nPUB b 0", SubjectErrorKind::Whitespace),
            ("a\0", SubjectErrorKind::Whitespace),
            ("a.*", SubjectErrorKind::Wildcard),
            (">", SubjectErrorKind::Wildcard),
        ] {
            assert_eq!(check_literal(bad).map_err(|error| *error.kind()), Err(kind), "{bad:?}");
        }
    }

    #[test]
    fn the_tail_wildcard_stands_last() {
        assert_eq!(check_pattern("a.*.>"), Ok(()));
        assert_eq!(check_pattern("a.>.b").map_err(|error| *error.kind()), Err(SubjectErrorKind::Wildcard));
    }

    #[test]
    fn an_inbox_prefix_has_plain_tokens() {
        for good in ["aZ09-_", "edge-1.k3v9q2xw7p"] {
            assert_eq!(check_inbox_prefix(good), Ok(()));
        }
        for bad in ["", "*", ">", "a..b", "a.", ".a", "a.*", "a b", "é", &"x".repeat(INBOX_PREFIX_MAX + 1)] {
            assert!(check_inbox_prefix(bad).is_err(), "{bad}");
        }
    }
}
