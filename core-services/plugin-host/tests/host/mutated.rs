//! Components that nobody wrote: whatever their bytes say, they are rejected or end in an outcome.

use crate::support::{batch, call, cart, options, plugin, pool};
use bodega_plugin_host::{
    client::{Error, Pool},
    protocol::{Batch, Component, Outcome},
};

/// Mutants that are tried.
const MUTANTS: u64 = 3_000;
/// Mutants that still are components and that are run; each costs a compilation.
const SURVIVORS: usize = 25;

/// A generator of Marsaglia's xorshift kind: the same mutants for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides.max(1)).expect("a number")).expect("a number")
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.roll(256)).expect("a byte")
    }
}

/// A component with a few bytes changed, cut out, or repeated.
fn mutant(original: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..=dice.roll(3) {
        let at = dice.roll(bytes.len());
        let end = (at + dice.roll(32)).min(bytes.len());
        match dice.roll(8) {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            _ => bytes[at] = dice.byte(),
        }
    }
    bytes
}

#[tokio::test]
async fn mutants_are_rejected_or_run_to_an_outcome_and_never_take_the_process_along() {
    let seed = std::env::var("BODEGA_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_123_u64);
    let (original, mut dice) = (plugin("tiered-discount"), Dice(seed.max(1)));
    let inspecting = Pool::new(options());
    let mut survivors = Vec::new();
    for number in 0..MUTANTS {
        let component = Component::new(mutant(original.bytes(), &mut dice));
        match inspecting.inspect(&component).await {
            Ok(_) if survivors.len() < SURVIVORS => survivors.push(component),
            Ok(_) => break,
            Err(Error::Rejected(_)) => {}
            Err(error) => panic!("mutant {number} of seed {seed}: {error}"),
        }
    }
    assert_eq!(survivors.len(), SURVIVORS, "of seed {seed}");
    assert_eq!(inspecting.started(), 1, "seed {seed}: a mutant took the process along while it was read");

    let (pool, _folder) = pool(1, &["tiered-discount"]);
    let configuration = r#"{"tiers": [{"pieces": 2, "percentage_bp": 500}]}"#;
    let original = call(original.hash(), configuration);
    let first = pool.run(&batch(cart(4), vec![original.clone()])).await.expect("verdicts");
    for (number, survivor) in survivors.into_iter().enumerate() {
        let mutant = call(pool.register(survivor), configuration);
        let verdicts = pool.run(&batch(cart(4), vec![mutant, original.clone()])).await.expect("verdicts");
        let lost = matches!(verdicts[0].outcome, Outcome::HostLost { .. });
        assert!(!lost, "survivor {number} of seed {seed}: {verdicts:?}");
        assert_eq!(verdicts[1], first[0], "survivor {number} of seed {seed} changed another plugin's answer");
    }
    assert_eq!(pool.started(), 1, "seed {seed}");
    assert!(pool.run(&Batch::default()).await.is_ok());
}
