//! Named places where a test may crash or delay the process. Always compiled, so that what is tested is what runs; armed
//! only when the variable `BODEGA_FAILPOINTS` names them *and* the database says that it is a test database
//! ([`crate::postgres::mark_as_test_database`]).
//!
//! `BODEGA_FAILPOINTS=order.after_hold=abort,payment.before_capture=delay:250` (milliseconds); `abort*3` aborts when it
//! is reached for the third time.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::postgres::{Postgres, TEST_DATABASE_SETTING};

/// The variable that names fail points.
pub const VARIABLE: &str = "BODEGA_FAILPOINTS";

/// What happens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// The process ends as by SIGKILL: no destructor, no flush.
    Abort,
    /// The task waits.
    Delay(Duration),
}

#[derive(Debug)]
struct Armed {
    action: Action,
    /// Passes left before it acts.
    passes: AtomicU32,
}

/// The fail points of a service. Unarmed ones cost a look into an empty map. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Failpoints(Arc<HashMap<String, Armed>>);

impl Failpoints {
    /// Reads the variable and asks the database whether it may be crashed. Anything else leaves every point unarmed.
    pub async fn from_environment(postgres: &Postgres) -> Self {
        match std::env::var(VARIABLE) {
            Ok(text) if !text.is_empty() => Self::arm(&text, postgres).await,
            _ => Self::default(),
        }
    }

    /// As [`Failpoints::from_environment`], with the text of the variable.
    pub async fn arm(text: &str, postgres: &Postgres) -> Self {
        let marked = sqlx::query_scalar::<_, Option<String>>("select current_setting($1, true)")
            .bind(TEST_DATABASE_SETTING)
            .fetch_one(postgres.pool())
            .await;
        match marked {
            Ok(Some(on)) if on == "on" => Self::parse(text),
            outcome => {
                tracing::error!(?outcome, "{VARIABLE} is set, but this is not a test database: no fail point is armed");
                Self::default()
            }
        }
    }

    fn parse(text: &str) -> Self {
        let mut points = HashMap::new();
        for entry in text.split(',').filter(|entry| !entry.is_empty()) {
            match parse_entry(entry) {
                Some((name, armed)) => drop(points.insert(name, armed)),
                None => tracing::error!(entry, "not a fail point; expected name=abort or name=delay:MILLISECONDS"),
            }
        }
        Self(Arc::new(points))
    }

    /// Whether any point is armed.
    #[must_use]
    pub fn is_armed(&self) -> bool {
        !self.0.is_empty()
    }

    /// Crashes or waits when this point is armed, else does nothing.
    pub async fn hit(&self, name: &str) {
        let Some(armed) = self.0.get(name) else { return };
        let pass = armed.passes.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        if pass.is_ok() {
            return;
        }
        match armed.action {
            Action::Abort => {
                eprintln!("fail point {name}: aborting");
                std::process::abort();
            }
            Action::Delay(time) => {
                // Whoever wants to kill the process right here reads this line.
                eprintln!("fail point {name}: waiting");
                tokio::time::sleep(time).await;
            }
        }
    }
}

fn parse_entry(entry: &str) -> Option<(String, Armed)> {
    let (name, action) = entry.split_once('=')?;
    let (action, nth) = match action.split_once('*') {
        Some((action, nth)) => (action, nth.parse::<u32>().ok()?),
        None => (action, 1),
    };
    let action = match action.split_once(':') {
        None if action == "abort" => Action::Abort,
        Some(("delay", ms)) => Action::Delay(Duration::from_millis(ms.parse().ok()?)),
        _ => return None,
    };
    Some((name.trim().to_owned(), Armed { action, passes: AtomicU32::new(nth.checked_sub(1)?) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_name_a_point_an_action_and_a_pass() {
        let points = Failpoints::parse("a.b=abort, c=delay:20*3,nonsense,d=explode,e=abort*0");
        let mut names: Vec<_> = points.0.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["a.b", "c"]);
        assert_eq!(points.0["c"].action, Action::Delay(Duration::from_millis(20)));
        assert_eq!(points.0["c"].passes.load(SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_delay_acts_from_its_pass_on() {
        let points = Failpoints::parse("c=delay:20*2");
        let waited = |began: tokio::time::Instant| began.elapsed() >= Duration::from_millis(20);
        let began = tokio::time::Instant::now();
        points.hit("c").await;
        points.hit("unarmed").await;
        assert!(!waited(began));
        points.hit("c").await;
        assert!(waited(began));
    }
}
