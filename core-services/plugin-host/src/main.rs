//! `bodega-plugin-host`: runs promotion plugins for whoever holds the other ends of its standard input and output.
//!
//! `bodega-plugin-host serve [--cache FOLDER]` speaks the protocol of the library until its input ends.
//! `bodega-plugin-host inspect FILE…` prints what components import and export.
//! `bodega-plugin-host walls` tries to leave, and prints what stopped it.

mod host;

use bodega_plugin_host::protocol::Component;
use host::{artefact::Cache, confine, engine, inspect, serve};
use std::{path::PathBuf, process::ExitCode};

const USAGE: &str = "bodega-plugin-host serve [--cache FOLDER]
bodega-plugin-host inspect FILE…
bodega-plugin-host walls

serve     answers length-prefixed JSON requests on standard input until it ends. Pricing starts it; there is no
          reason to start it by hand. Compiled components are kept in FOLDER, which only its owner may write.
inspect   prints hash, size, imports and exports of components, and whether they may run here.
walls     limits itself as `serve` does, tries to read, write, connect and start something, and prints what happened.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["serve"] => serve_with(None),
        ["serve", "--cache", folder] => serve_with(Some(PathBuf::from(folder))),
        ["inspect", files @ ..] if !files.is_empty() => inspect_files(files),
        ["walls"] => walls(),
        ["--help" | "-h" | "help"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => Err(format!("what?\n\n{USAGE}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("bodega-plugin-host: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn serve_with(cache: Option<PathBuf>) -> Result<(), String> {
    let folder = cache.as_deref();
    let opened = folder.map(|folder| Cache::open(folder).map_err(|error| format!("{}: {error}", folder.display())));
    let cache = opened.transpose()?;
    // Before there is a second thread, because some walls stand around the thread that built them and its children.
    confine::confine(folder).map_err(|error| format!("the process cannot be limited: {error}"))?;
    let engine = engine::Clocked::new().map_err(|error| format!("the engine does not start: {error:#}"))?;
    // The handles of the pipe belong to this loop; nothing else may write to standard output.
    serve::serve(engine, cache, &mut std::io::stdin().lock(), &mut std::io::stdout().lock())
        .map_err(|error| error.to_string())
}

fn inspect_files(files: &[&str]) -> Result<(), String> {
    let mut rejected = false;
    for file in files {
        let bytes = std::fs::read(file).map_err(|error| format!("{file}: {error}"))?;
        match inspect::inspect(&Component::new(bytes)) {
            Ok(inspection) => {
                let verdict = inspect::admissible(&inspection);
                rejected |= verdict.is_err();
                let list = |names: &[String]| if names.is_empty() { "nothing".into() } else { names.join(", ") };
                println!("{file}: sha256 {}, {} bytes", inspection.hash, inspection.size);
                println!("  imports {}", list(&inspection.imports));
                println!("  exports {}", list(&inspection.exports));
                println!("  {}", verdict.map_or_else(|rejection| rejection.to_string(), |()| "may run here".into()));
            }
            Err(rejection) => {
                rejected = true;
                println!("{file}: {rejection}");
            }
        }
    }
    if rejected { Err("not all of them may run here".into()) } else { Ok(()) }
}

fn walls() -> Result<(), String> {
    let walls = confine::confine(None).map_err(|error| format!("the process cannot be limited: {error}"))?;
    println!("landlock: {}", walls.landlock);
    let mut open = false;
    for (attempt, stopped) in confine::attempts() {
        open |= stopped.is_none();
        println!("{attempt}: {}", stopped.unwrap_or_else(|| "possible".into()));
    }
    if open { Err("this kernel does not hold a plugin host that was taken over".into()) } else { Ok(()) }
}
