//! `cargo xtask test`: every test that is not marked long, or the named suites.

mod lint;
mod native;
mod place;
mod shop;

use crate::build;
use crate::fault::Fault;
use crate::progress::{Steps, bold, green, red, seconds};
use clap::Args;
use std::time::{Duration, Instant};

/// Flags of `test`.
#[derive(Debug, Args)]
#[command(after_help = help())]
pub(crate) struct Flags {
    /// Suites to run; none: all that are not marked long
    #[arg(value_name = "SUITE")]
    suites: Vec<String>,
    /// Go on after a suite that failed
    #[arg(long)]
    keep_going: bool,
    /// With `faults`: only the storm, by the plan that follows from this seed
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// With `faults`: only the storm, for about so many minutes
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u32).range(1..=600))]
    minutes: Option<u32>,
}

/// A set of tests that is run together.
struct Suite {
    name: &'static str,
    about: &'static str,
    when: When,
    run: fn(&Steps) -> Result<(), Fault>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// Part of `cargo xtask test`.
    Usual,
    /// Part of `.ci/run` beside `cargo xtask test`, or shows sooner what that shows as well.
    Named,
    /// Takes long, or needs what not every machine has.
    Long,
}

const SUITES: &[Suite] = &[
    Suite { name: "fmt", about: "formatting", when: When::Named, run: lint::format },
    Suite { name: "clippy", about: "lints, warnings are errors", when: When::Named, run: lint::clippy },
    Suite { name: "deny", about: "licences, bans and sources of dependencies", when: When::Named, run: lint::deny },
    Suite {
        name: "advisories",
        about: "known vulnerabilities of dependencies",
        when: When::Long,
        run: lint::advisories,
    },
    Suite {
        name: "domain-targets",
        about: "pure crates build for all three targets: sooner than both edges show it",
        when: When::Named,
        run: lint::domain_targets,
    },
    Suite {
        name: "plugins",
        about: "plugins build, import nothing, and compute what they should",
        when: When::Usual,
        run: native::plugins,
    },
    Suite {
        name: "unit",
        about: "unit and service tests of every native crate, against real servers",
        when: When::Usual,
        run: native::unit,
    },
    Suite {
        name: "hosts",
        about: "the edge host and the plugin host, each built alone",
        when: When::Usual,
        run: native::hosts,
    },
    Suite {
        name: "features",
        about: "experimental parts of wasmtime stay out of the plugin host",
        when: When::Usual,
        run: lint::features,
    },
    Suite {
        name: "e2e",
        about: "black box: as many processes as `up` starts",
        when: When::Usual,
        run: shop::end_to_end,
    },
    Suite { name: "faults", about: "processes killed, words lost, ports taken", when: When::Usual, run: shop::faults },
    Suite {
        name: "storm",
        about: "every process killed again and again while shoppers shop, then every law",
        when: When::Usual,
        run: shop::storm,
    },
    Suite { name: "workerd", about: "the same against Cloudflare's workerd", when: When::Usual, run: shop::workerd },
    Suite {
        name: "browser",
        about: "a real browser, with and without JavaScript",
        when: When::Usual,
        run: shop::browser,
    },
    Suite {
        name: "databases",
        about: "the black box with a database per service",
        when: When::Long,
        run: shop::databases,
    },
    Suite {
        name: "sabotage",
        about: "each rule broken on purpose: its test must fail",
        when: When::Long,
        run: shop::sabotage,
    },
];

fn help() -> String {
    let line = |suite: &Suite| {
        let when = match suite.when {
            When::Usual => "",
            When::Named => "  (only when named)",
            When::Long => "  (long: only when named)",
        };
        format!("  {:<15} {}{when}", suite.name, suite.about)
    };
    let lines: Vec<String> = SUITES.iter().map(line).collect();
    format!("Suites:\n{}", lines.join("\n"))
}

/// `cargo xtask test`
pub(crate) fn run(flags: &Flags) -> Result<(), Fault> {
    let chosen = choose(&flags.suites)?;
    if flags.seed.is_some() || flags.minutes.is_some() {
        return only_the_storm(flags);
    }
    let steps = Steps::new();
    build::targets(&steps)?;
    let mut failed = Vec::new();
    let mut times: Vec<(&str, Duration)> = Vec::new();
    for suite in &chosen {
        eprintln!("\n{} {}", bold(suite.name), suite.about);
        let begun = Instant::now();
        let done = (suite.run)(&steps);
        times.push((suite.name, begun.elapsed()));
        let Err(fault) = done else { continue };
        eprintln!("{} {}: {fault}", red("failed:"), suite.name);
        failed.push(suite.name);
        if !flags.keep_going {
            break;
        }
    }
    place::clear();
    close(&steps, chosen.len(), &times, &failed)
}

/// A storm by itself: `cargo xtask test faults --seed N --minutes M`.
fn only_the_storm(flags: &Flags) -> Result<(), Fault> {
    let about_it = |name: &String| matches!(name.as_str(), "faults" | "storm");
    if flags.suites.is_empty() || !flags.suites.iter().all(about_it) {
        let text = "--seed and --minutes are for the storm: cargo xtask test faults --seed N --minutes M";
        return Err(Fault::Plain(text.to_owned()));
    }
    let steps = Steps::new();
    build::targets(&steps)?;
    let settings = [
        ("BODEGA_STORM_SEED", flags.seed.map(|seed| seed.to_string())),
        ("BODEGA_STORM_MINUTES", flags.minutes.map(|minutes| minutes.to_string())),
    ];
    let settings: Vec<(&str, &str)> =
        settings.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    shop::storm_with(&steps, &settings)
}

fn choose(names: &[String]) -> Result<Vec<&'static Suite>, Fault> {
    if names.is_empty() {
        return Ok(SUITES.iter().filter(|suite| suite.when == When::Usual).collect());
    }
    let find = |name: &String| {
        let known = SUITES.iter().find(|suite| suite.name == name);
        known.ok_or_else(|| Fault::Plain(format!("there is no suite `{name}`\n\n{}", help())))
    };
    names.iter().map(find).collect()
}

/// The last line says how it went.
fn close(steps: &Steps, chosen: usize, times: &[(&str, Duration)], failed: &[&str]) -> Result<(), Fault> {
    eprintln!();
    for (name, time) in times {
        let mark = if failed.contains(name) { red("✗") } else { green("✓") };
        eprintln!("  {mark} {name:<15} {:>14}", seconds(*time));
    }
    let all = seconds(steps.elapsed());
    if failed.is_empty() {
        eprintln!("\n{} {} suites in {all}", green("passed:"), times.len());
        return Ok(());
    }
    let left = chosen - times.len();
    let rest = if left == 0 { String::new() } else { format!(", {left} not run") };
    eprintln!("\n{} {} of {chosen} suites ({}){rest}, after {all}", red("failed:"), failed.len(), failed.join(", "));
    Err(Fault::Told)
}

#[cfg(test)]
mod tests {
    use super::{SUITES, When, choose};

    #[test]
    fn without_names_everything_that_is_not_long_runs() {
        let chosen = choose(&[]).unwrap_or_default();
        assert!(chosen.iter().all(|suite| suite.when == When::Usual));
        assert!(chosen.iter().any(|suite| suite.name == "e2e"));
    }

    #[test]
    fn an_unknown_suite_is_refused_with_the_list_of_known_ones() {
        let refusal = choose(&["unti".to_owned()]).err().map(|fault| fault.to_string()).unwrap_or_default();
        assert!(refusal.contains("unti") && refusal.contains("domain-targets"), "{refusal}");
    }

    #[test]
    fn suites_have_one_name_each() {
        let mut names: Vec<&str> = SUITES.iter().map(|suite| suite.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SUITES.len());
    }
}
