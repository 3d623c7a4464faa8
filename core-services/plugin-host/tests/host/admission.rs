//! What may run here, and how it gets in.

use crate::support::{Folder, batch, call, cart, effects, options, plugin, pool, program};
use bodega_plugin_host::{
    client::{Error, Options, Pool},
    limits::PLUGIN_BYTES_MAX,
    protocol::{Batch, Component, Hash, Outcome, Rejection},
};
use std::{fs, os::unix::fs::PermissionsExt, process::Command};

async fn rejection(component: &Component) -> Rejection {
    match Pool::new(options()).admit(component, &Batch::default()).await {
        Err(Error::Rejected(rejection)) => rejection,
        other => panic!("not rejected: {other:?}"),
    }
}

#[tokio::test]
async fn a_component_that_wants_a_clock_is_rejected_by_name() {
    let rejection = rejection(&plugin("importer")).await;
    assert_eq!(rejection, Rejection::Imports { imports: vec!["bodega:nosy/clock@1.0.0".into()] });
}

#[tokio::test]
async fn what_is_no_component_is_rejected() {
    let module = b"\0asm\x01\0\0\0".to_vec();
    let mut truncated = plugin("buy-x-get-y").bytes().to_vec();
    truncated.truncate(truncated.len() / 2);
    for bytes in [Vec::new(), b"<html>".to_vec(), module, truncated] {
        let rejection = rejection(&Component::new(bytes.clone())).await;
        assert!(matches!(rejection, Rejection::NotAComponent { .. }), "{} bytes: {rejection}", bytes.len());
    }
}

#[tokio::test]
async fn a_component_of_another_world_is_rejected() {
    // The smallest component: it exports nothing.
    let rejection = rejection(&Component::new(b"\0asm\x0d\0\x01\0".to_vec())).await;
    assert!(matches!(rejection, Rejection::OtherWorld { .. }), "{rejection}");
}

#[tokio::test]
async fn a_component_of_more_than_the_limit_is_rejected_before_it_is_read() {
    let rejection = rejection(&Component::new(vec![0; PLUGIN_BYTES_MAX + 1])).await;
    assert_eq!(rejection, Rejection::TooLarge { bytes: PLUGIN_BYTES_MAX + 1, limit: PLUGIN_BYTES_MAX });
}

#[tokio::test]
async fn an_upload_is_described_tried_and_not_yet_in_use() {
    let (pool, _folder) = pool(1, &[]);
    let component = plugin("bundle-discount");
    let (loaded, _) = pool.admit(&component, &Batch::default()).await.expect("a plugin");
    assert_eq!(loaded.description.name, "bundle-discount");
    assert_eq!(loaded.inspection.imports, Vec::<String>::new());
    assert_eq!(loaded.inspection.exports, ["bodega:promotion/evaluator@1.0.0"]);
    assert_eq!(loaded.inspection.hash, component.hash());

    let any = Hash::of(b"whatever the trial's calls name");
    let trial = batch(cart(3), vec![call(any, &loaded.description.example_configuration); 40]);
    let (again, verdicts) = pool.admit(&component, &trial).await.expect("a plugin");
    assert!(again.cached, "compiled once");
    assert_eq!(verdicts.len(), 40);
    assert!(verdicts.iter().all(|verdict| effects(verdict).is_empty()), "coffee without rolls is no breakfast");

    assert!(!pool.knows(&component.hash()));
    let verdicts = pool.run(&batch(cart(1), vec![call(component.hash(), "{}")])).await.expect("verdicts");
    assert_eq!(verdicts[0].outcome, Outcome::NotLoaded);
}

#[tokio::test]
async fn every_example_starts_from_a_configuration_that_works() {
    let (pool, _folder) = pool(1, &[]);
    for name in ["buy-x-get-y", "tiered-discount", "bundle-discount"] {
        let component = plugin(name);
        let (loaded, _) = pool.admit(&component, &Batch::default()).await.expect("a plugin");
        assert_eq!(loaded.description.name, name);
        let trial = batch(cart(3), vec![call(component.hash(), &loaded.description.example_configuration)]);
        let (_, verdicts) = pool.admit(&component, &trial).await.expect("a plugin");
        assert!(matches!(verdicts[0].outcome, Outcome::Ok(_)), "{name}: {verdicts:?}");
    }
}

#[tokio::test]
async fn a_damaged_artefact_is_compiled_anew() {
    let (pool, folder) = pool(1, &[]);
    let component = plugin("buy-x-get-y");
    let (first, _) = pool.admit(&component, &Batch::default()).await.expect("a plugin");
    assert!(!first.cached);
    let files: Vec<_> = fs::read_dir(&folder.0).expect("the cache").map(|file| file.expect("a file").path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let mut bytes = fs::read(&files[0]).expect("the artefact");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&files[0], &bytes).expect("written");

    let (damaged, _) = pool.admit(&component, &Batch::default()).await.expect("a plugin");
    assert!(!damaged.cached, "the damage was noticed");
    let (mended, _) = pool.admit(&component, &Batch::default()).await.expect("a plugin");
    assert!(mended.cached);
}

#[tokio::test]
async fn a_cache_that_others_may_write_to_is_not_used() {
    let folder = Folder::new();
    fs::create_dir(&folder.0).expect("a folder");
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o777)).expect("open to all");
    let pool = Pool::new(Options { cache: Some(folder.0.clone()), ..options() });
    let answer = pool.admit(&plugin("buy-x-get-y"), &Batch::default()).await;
    assert!(matches!(answer, Err(Error::Lost { .. })), "{answer:?}");
}

#[test]
fn inspect_prints_what_a_component_imports() {
    let inspect = |name: &str| {
        let folder = Folder::new();
        fs::create_dir(&folder.0).expect("a folder");
        let file = folder.0.join("plugin.wasm");
        fs::write(&file, plugin(name).bytes()).expect("written");
        let output = Command::new(program()).arg("inspect").arg(&file).output().expect("the program runs");
        (output.status.success(), String::from_utf8(output.stdout).expect("text"))
    };
    let (fine, text) = inspect("tiered-discount");
    assert!(fine && text.contains("imports nothing") && text.contains("may run here"), "{text}");
    let (fine, text) = inspect("importer");
    assert!(!fine && text.contains("imports bodega:nosy/clock@1.0.0"), "{text}");
}
