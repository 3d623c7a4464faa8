//! Plugins and promotions: upload, trial, use, and no longer use.

use std::sync::Arc;

use bodega_domain::{
    Failure,
    limits::{PLUGIN_BYTES_MAX, TEXT_LINE_BYTES_MAX},
    message::pricing::{
        PluginActivate, PluginUpload, PluginView, Plugins, PromotionAudit, PromotionChange, PromotionDeactivate,
        PromotionView, Promotions,
    },
    token::base64url,
};
use maud::{Markup, html};

use super::{
    form::wrong,
    layout::Page,
    table::{facts, pager, table},
    visit::{Done, Visit},
    words::{badge, json, plain, size, time},
};

/// Last changes below the list.
const CHANGES_SHOWN: u32 = 12;

pub(crate) async fn list(visit: Arc<Visit>) -> Result<Page, Failure> {
    let (plugins, promotions, changes) = tokio::join!(
        visit.ask(Plugins { merchant: None, cursor: visit.cursor() }),
        visit.ask(Promotions { cursor: visit.query("promotions").map(str::to_owned) }),
        visit.ask(PromotionAudit { limit: Some(CHANGES_SHOWN), ..PromotionAudit::default() }),
    );
    let (plugins, promotions, changes) = (plugins?, promotions?, changes?);
    let body = html! {
        section aria-labelledby="uploaded" {
            h2 id="uploaded" { "Plugins" }
            @if plugins.items.is_empty() { p.empty { "No plugin has been uploaded yet." } }
            @for plugin in &plugins.items { (card(&visit, plugin)) }
            (pager(&visit.at("/plugins"), "", visit.cursor().is_some(), plugins.next_cursor.as_deref()))
        }
        section aria-labelledby="promotions" {
            h2 id="promotions" { "Promotions" }
            (promotions_table(&visit, &promotions.items))
            @if let Some(next) = &promotions.next_cursor {
                p { a href={ (visit.at("/plugins?promotions=")) (super::table::escape(next)) } { "More promotions" } }
            }
        }
        section aria-labelledby="changed" { h2 id="changed" { "Last changes" } (changes_table(&changes.items)) }
        section aria-labelledby="upload" { h2 id="upload" { "Upload a plugin" } (upload_form(&visit)) }
    };
    Ok(Page::new("Plugins", body))
}

fn card(visit: &Visit, plugin: &PluginView) -> Markup {
    let in_use = plugin.promotions.iter().filter(|promotion| promotion.active).count();
    html! {
        article.card {
            h3 { (plugin.name) " " @if in_use > 0 { (badge("active")) } }
            (facts(vec![
                ("Hash", html! { code { (plugin.hash) } }),
                ("Size", html! { (size(plugin.size)) }),
                ("Uploaded", time(plugin.uploaded_at)),
                ("Belongs to", html! {
                    @if let Some(merchant) = plugin.merchant { code { (merchant) } } @else { "the marketplace" }
                }),
            ]))
            (json(&html! { "Trial run" span.vh { " of " (plugin.name) } }, &plugin.trial))
            details {
                summary { "Use in quotes" span.vh { ": " (plugin.name) } }
                form method="post" action=(visit.at(format_args!("/plugins/{}/activate", plugin.id))) {
                    input type="hidden" name="key" value=(visit.key());
                    div.field {
                        label for={ "label-" (plugin.id) } { "What shoppers read" }
                        input id={ "label-" (plugin.id) } name="label" required maxlength=(TEXT_LINE_BYTES_MAX);
                    }
                    div.field {
                        label for={ "config-" (plugin.id) } { "Configuration, JSON" }
                        textarea id={ "config-" (plugin.id) } name="config" rows="3" spellcheck="false" { "{}" }
                    }
                    button.button type="submit" { "Activate" }
                }
            }
        }
    }
}

fn promotions_table(visit: &Visit, promotions: &[PromotionView]) -> Markup {
    let rows = promotions
        .iter()
        .map(|promotion| {
            vec![
                html! { (promotion.label) },
                html! { (plain(&promotion.kind)) },
                badge(if promotion.active { "active" } else { "ended" }),
                json(&html! { "Show" span.vh { " configuration of " (promotion.label) } }, &promotion.config),
                html! {
                    @if promotion.active {
                        form method="post" action=(visit.at(format_args!("/promotions/{}/deactivate", promotion.id))) {
                            button.link type="submit" { "Stop" span.vh { " " (promotion.label) } }
                        }
                    } @else { "–" }
                },
            ]
        })
        .collect();
    let heads = ["Shoppers read", "Kind", "State", "Configuration", "Change"];
    table("Rules and plugins in use", &heads, rows, "No promotions yet.")
}

/// Who changed which promotion, when and how.
fn changes_table(changes: &[PromotionChange]) -> Markup {
    let rows = changes
        .iter()
        .map(|change| {
            vec![
                html! { (change.label) },
                html! { (plain(&change.what)) },
                time(change.at),
                html! { code { (change.who) } },
                html! {
                    @if change.data.as_object().is_some_and(|data| !data.is_empty()) {
                        (json(&html! { "Show" span.vh { " what was stored of " (change.label) } }, &change.data))
                    } @else { "–" }
                },
            ]
        })
        .collect();
    let heads = ["Shoppers read", "What", "When", "Who", "Stored"];
    table("Newest first", &heads, rows, "No promotion has been changed yet.")
}

fn upload_form(visit: &Visit) -> Markup {
    html! {
        form.sheet method="post" enctype="multipart/form-data" action=(visit.at("/plugins")) {
            div.field {
                label for="name" { "Name" }
                input id="name" name="name" required maxlength=(TEXT_LINE_BYTES_MAX);
            }
            div.field {
                label for="component" { "Component" }
                input id="component" name="component" type="file" required accept=".wasm,application/wasm"
                    aria-describedby="component-help";
                p.fine id="component-help" { "A WebAssembly component of at most " (PLUGIN_BYTES_MAX / 1024) " KB." }
            }
            div.field {
                label for="config" { "Configuration of the trial run, JSON" }
                textarea id="config" name="config" rows="3" spellcheck="false" { "{}" }
            }
            p.fine { "It is checked and tried before it is kept. Nobody's quote uses it until you activate it." }
            button.button type="submit" { "Upload" }
        }
    }
}

pub(crate) async fn upload(visit: Arc<Visit>) -> Result<Done, Failure> {
    let component = visit.form.file().ok_or_else(|| wrong("component", "Choose a file."))?;
    let message = PluginUpload {
        name: line(&visit, "name")?,
        merchant: None,
        component: base64url(component),
        config: visit.form.json("config")?,
    };
    let kept = visit.ask(message).await?;
    Ok(Done { to: visit.at("/plugins"), said: format!("“{}” passed its trial and is kept.", kept.name) })
}

pub(crate) async fn activate(visit: Arc<Visit>) -> Result<Done, Failure> {
    let plugin = visit.part("plugin")?;
    let key = visit.form.key()?;
    let (label, config) = (line(&visit, "label")?, visit.form.json("config")?);
    let message = PluginActivate { plugin, key: Some(key), label, config };
    let promotion = visit.ask(message).await?;
    Ok(Done { to: visit.at("/plugins"), said: format!("“{}” is used in quotes from now on.", promotion.label) })
}

pub(crate) async fn deactivate(visit: Arc<Visit>) -> Result<Done, Failure> {
    let promotion = visit.part("promotion")?;
    visit.ask(PromotionDeactivate { promotion }).await?;
    Ok(Done { to: visit.at("/plugins"), said: "The promotion is not used any more.".to_owned() })
}

fn line(visit: &Visit, name: &str) -> Result<String, Failure> {
    let text = visit.form.text(name).trim();
    if text.is_empty() || text.len() > TEXT_LINE_BYTES_MAX {
        return Err(wrong(name, "A short text is needed."));
    }
    Ok(text.to_owned())
}
