//! Before the storm: everybody at once at the edges, for far fewer units than there are buyers.

use std::collections::BTreeMap;
use std::sync::Arc;

use bodega_tests::black_box::OpenShop;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::plan::{Goods, Purchase, Wish};
use crate::shoppers::{Told, buy};

/// Buyers, and the units of what they want.
pub(crate) const BUYERS: usize = 2_000;
/// Units that there are.
pub(crate) const UNITS: u16 = 100;
/// Requests under way at once: as many as two edges take on without refusing anybody for lack of room.
const AT_ONCE: usize = 128;

/// Lets them all buy one unit of a SKU, half of them at either edge, and gives what each was told.
pub(crate) async fn rush(shop: &Arc<OpenShop>, sku: &str) -> Vec<Told> {
    let skus = Arc::new(vec![sku.to_owned()]);
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let begun = std::time::Instant::now();
    let mut buyers = JoinSet::new();
    for n in 0..BUYERS {
        let (shop, skus, room) = (shop.clone(), skus.clone(), room.clone());
        buyers.spawn(async move {
            let _place = room.acquire_owned().await;
            let (key, edge, lines) = (format!("rush-{n}"), n % 2, vec![(0, 1)]);
            let purchase = Purchase { key, edge, lines, wish: Wish::Buy, goods: Goods::Stay };
            let from = format!("10.200.{}.{}", n / 256, n % 256);
            let shopper = shop.shopper(edge).from_address(&from);
            buy(&shop, &skus, &shopper, &purchase).await
        });
    }
    let told = buyers.join_all().await;
    let mut refused: BTreeMap<&str, usize> = BTreeMap::new();
    told.iter().filter_map(|told| told.refused.as_deref()).for_each(|why| *refused.entry(why).or_default() += 1);
    let sold = told.iter().filter(|told| !told.orders.is_empty()).count();
    eprintln!(
        "rush: {BUYERS} buyers for {UNITS} units: {sold} orders, refused {refused:?}, after {:?}",
        begun.elapsed()
    );
    assert_eq!(sold, usize::from(UNITS), "as many orders as units");
    assert_eq!(refused, BTreeMap::from([("out_of_stock", BUYERS - usize::from(UNITS))]), "everybody else is told why");
    told
}
