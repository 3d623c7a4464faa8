//! A file a request, or a family of requests that share their rules.

pub(crate) mod plugin;
pub(crate) mod promotion;
pub(crate) mod quote;

use bodega_domain::{Code, Failure, id::MerchantId, principal::Principal};

/// Whose promotion the asker may write: merchants their own, admins and services anybody's and the marketplace's.
pub(crate) fn writes_for(principal: &Principal, wanted: Option<MerchantId>) -> Result<Option<MerchantId>, Failure> {
    if matches!(principal, Principal::Service) || principal.is_admin() {
        return Ok(wanted);
    }
    let own: Vec<MerchantId> = principal.merchants().collect();
    match (wanted, own.as_slice()) {
        (Some(merchant), own) if own.contains(&merchant) => Ok(Some(merchant)),
        (None, [only]) => Ok(Some(*only)),
        _ => Err(Code::Forbidden.into()),
    }
}

/// Whose promotions the asker may see; an empty list is everybody's.
pub(crate) fn reads_of(principal: &Principal, wanted: Option<MerchantId>) -> Result<Vec<MerchantId>, Failure> {
    let all = matches!(principal, Principal::Service) || principal.is_admin();
    let own: Vec<MerchantId> = principal.merchants().collect();
    match wanted {
        Some(merchant) if all || own.contains(&merchant) => Ok(vec![merchant]),
        None if all => Ok(Vec::new()),
        None if !own.is_empty() => Ok(own),
        _ => Err(Code::Forbidden.into()),
    }
}

/// Who is named in the audit.
pub(crate) fn who(principal: &Principal) -> String {
    principal.owner().map_or_else(|| "service".to_owned(), |owner| owner.to_string())
}
