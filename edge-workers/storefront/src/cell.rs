//! The merge function of the atomic cells: what a runtime passes to its compare-and-swap loop or its Durable Object.

use bodega_domain::replication::{BatchError, EdgePosition, IngestStep, advance};

use crate::{
    cart::replica::Replica,
    platform::{CellKind, Merge, MergeRefused},
};

/// Merges a delta into a cell of a kind. Pure; an unreadable cell counts as an empty one, an unreadable delta is refused.
///
/// # Errors
/// [`MergeRefused`] with a reason that this crate reads.
pub fn merge(kind: CellKind, current: Option<&[u8]>, delta: &[u8]) -> Result<Option<Vec<u8>>, MergeRefused> {
    match kind {
        CellKind::Cart => {
            let delta = Replica::decode(delta).ok_or_else(|| MergeRefused(b"malformed".to_vec()))?;
            let before = current.and_then(Replica::decode).unwrap_or_default();
            let mut after = before.clone();
            after.merge(&delta);
            Ok((after != before || current.is_none()).then(|| after.encode()))
        }
        CellKind::Ingest => {
            let position: EdgePosition = current.and_then(|c| serde_json::from_slice(c).ok()).unwrap_or_default();
            let step: IngestStep =
                serde_json::from_slice(delta).map_err(|_| MergeRefused(reason(&BatchError::Malformed).to_vec()))?;
            let next = advance(&position, &step).map_err(|error| MergeRefused(reason(&error).to_vec()))?;
            serde_json::to_vec(&next).map(Some).map_err(|_| MergeRefused(reason(&BatchError::Malformed).to_vec()))
        }
    }
}

/// It has the type that runtimes expect.
const _: Merge = merge;

const fn reason(error: &BatchError) -> &'static [u8] {
    match error {
        BatchError::Busy => b"busy",
        BatchError::OutOfOrder => b"out_of_order",
        BatchError::Malformed | BatchError::Signature | BatchError::TooLarge => b"malformed",
    }
}

/// Why an ingest cell refused a step.
pub(crate) fn refused_step(refused: &MergeRefused) -> BatchError {
    match refused.0.as_slice() {
        b"busy" => BatchError::Busy,
        b"out_of_order" => BatchError::OutOfOrder,
        _ => BatchError::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use bodega_domain::cart::Cart;

    use super::*;

    #[test]
    fn a_cart_cell_keeps_both_of_two_deltas_in_either_order() {
        let delta = |sku, id| {
            let mut cart = Cart::new();
            cart.add(sku, 1, id, 100 + u64::from(id)).unwrap();
            Replica { cart, ..Replica::default() }.encode()
        };
        let (a, b) = (delta(1, 1), delta(2, 2));
        let one = merge(CellKind::Cart, None, &a).unwrap().unwrap();
        let ab = merge(CellKind::Cart, Some(&one), &b).unwrap().unwrap();
        let two = merge(CellKind::Cart, None, &b).unwrap().unwrap();
        let ba = merge(CellKind::Cart, Some(&two), &a).unwrap().unwrap();
        assert_eq!(ab, ba);
        assert_eq!(Replica::decode(&ab).unwrap().cart.lines().count(), 2);
        assert_eq!(merge(CellKind::Cart, Some(&ab), &a).unwrap(), None, "a repeated delta writes nothing");
    }

    #[test]
    fn an_unreadable_delta_is_refused_and_an_unreadable_cell_is_an_empty_one() {
        assert!(merge(CellKind::Cart, None, b"junk").is_err());
        assert!(merge(CellKind::Ingest, None, b"junk").is_err());
        let delta = Replica::default().encode();
        assert!(merge(CellKind::Cart, Some(b"junk"), &delta).is_ok());
    }
}
