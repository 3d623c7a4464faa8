//! Form-encoded parameters: `amount=100&metadata[order_id]=ord_…`.

use std::collections::BTreeMap;

use crate::refusal::Refusal;

/// Most parameters of one request.
const PARAMETERS_MAX: usize = 100;
/// Longest metadata value, characters; the limit of the API that is imitated.
const METADATA_VALUE_MAX: usize = 500;

/// The parameters of one request, bracketed names kept as they are.
#[derive(Debug, Clone, Default)]
pub struct Form(BTreeMap<String, String>);

impl Form {
    /// Reads a body or a query string.
    ///
    /// # Errors
    /// Refused when there are too many parameters.
    pub fn parse(raw: &[u8]) -> Result<Form, Refusal> {
        let mut fields = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(raw) {
            fields.insert(name.into_owned(), value.into_owned());
            if fields.len() > PARAMETERS_MAX {
                return Err(Refusal::invalid("parameter_unknown", "", "too many parameters"));
            }
        }
        Ok(Form(fields))
    }

    /// A parameter, unless empty.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A parameter that must be there.
    ///
    /// # Errors
    /// Refused when it is missing.
    pub fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.text(name).ok_or_else(|| Refusal::invalid("parameter_missing", name, "this parameter is required"))
    }

    /// An integer.
    ///
    /// # Errors
    /// Refused when it is not one.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, Refusal> {
        self.text(name)
            .map(|text| text.parse().map_err(|_| Refusal::invalid("parameter_invalid_integer", name, "not an integer")))
            .transpose()
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// Refused when it is neither.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        self.text(name)
            .map(|text| text.parse().map_err(|_| Refusal::invalid("parameter_unknown", name, "not true or false")))
            .transpose()
    }

    /// All of `prefix[…]`.
    ///
    /// # Errors
    /// Refused when a value is too long.
    pub fn map(&self, prefix: &str) -> Result<BTreeMap<String, String>, Refusal> {
        let mut map = BTreeMap::new();
        for (name, value) in &self.0 {
            let Some(key) = name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('[')) else { continue };
            let Some(key) = key.strip_suffix(']') else { continue };
            if value.chars().count() > METADATA_VALUE_MAX {
                return Err(Refusal::invalid("metadata_value_too_long", name, "at most 500 characters"));
            }
            map.insert(key.to_owned(), value.clone());
        }
        Ok(map)
    }

    /// Whether `expand[]` asks for `path`.
    #[must_use]
    pub fn expands(&self, path: &str) -> bool {
        self.0.iter().any(|(name, value)| name.starts_with("expand[") && value == path)
    }
}
