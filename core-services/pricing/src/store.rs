//! All SQL of pricing.

pub(crate) mod audit;

use bodega_domain::{
    Timestamp,
    id::{MerchantId, PluginId, PromotionId},
    message::pricing::{PluginView, PromotionView},
    promotion::Rule,
};
use bodega_platform::DatabaseError;
use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

fn uuid(bits: u128) -> Uuid {
    Uuid::from_u128(bits)
}

fn merchant(row: &PgRow) -> Result<Option<MerchantId>, sqlx::Error> {
    Ok(row.try_get::<Option<Uuid>, _>("merchant")?.map(|id| MerchantId::from_u128(id.as_u128())))
}

/// The version of the promotions.
pub(crate) async fn version(pool: &PgPool) -> Result<i64, DatabaseError> {
    Ok(sqlx::query_scalar("select version from promotion_version").fetch_one(pool).await?)
}

/// The version that edges have not heard of yet.
pub(crate) async fn untold(pool: &PgPool) -> Result<Option<i64>, DatabaseError> {
    let found =
        sqlx::query_scalar("select version from promotion_version where told < version").fetch_optional(pool).await?;
    Ok(found)
}

/// Edges have been told this version.
pub(crate) async fn told(pool: &PgPool, version: i64) -> Result<(), DatabaseError> {
    sqlx::query("update promotion_version set told = greatest(told, $1)").bind(version).execute(pool).await?;
    Ok(())
}

/// A promotion as it takes part in quotes.
pub(crate) struct ActiveRow {
    pub(crate) id: PromotionId,
    pub(crate) merchant: Option<MerchantId>,
    pub(crate) label: String,
    pub(crate) rule: Option<Rule>,
    pub(crate) plugin_hash: Option<String>,
    pub(crate) config: serde_json::Value,
}

/// Active promotions by id, which is by age: the order in which they are applied. All of them: how many there may be is
/// decided when one becomes active, so that none is left out here.
pub(crate) async fn active(pool: &PgPool) -> Result<Vec<ActiveRow>, DatabaseError> {
    let rows = sqlx::query(
        "select p.id, p.merchant, p.label, p.rule, p.config, g.hash
         from promotion p left join plugin g on g.id = p.plugin where p.active order by p.id",
    )
    .fetch_all(pool)
    .await?;
    let read = |row: &PgRow| -> Result<ActiveRow, sqlx::Error> {
        Ok(ActiveRow {
            id: PromotionId::from_u128(row.try_get::<Uuid, _>("id")?.as_u128()),
            merchant: merchant(row)?,
            label: row.try_get("label")?,
            rule: row.try_get::<Option<Json<Rule>>, _>("rule")?.map(|json| json.0),
            plugin_hash: row.try_get("hash")?,
            config: row.try_get::<Json<serde_json::Value>, _>("config")?.0,
        })
    };
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

/// The bytes of a component.
pub(crate) async fn component(pool: &PgPool, hash: &str) -> Result<Option<Vec<u8>>, DatabaseError> {
    let found = sqlx::query_scalar("select component from plugin where hash = $1 limit 1")
        .bind(hash)
        .fetch_optional(pool)
        .await?;
    Ok(found)
}

/// A plugin to be kept.
pub(crate) struct NewPlugin<'a> {
    pub(crate) id: PluginId,
    pub(crate) merchant: Option<MerchantId>,
    pub(crate) name: &'a str,
    pub(crate) hash: &'a str,
    pub(crate) component: &'a [u8],
    pub(crate) trial: &'a serde_json::Value,
    pub(crate) by: &'a str,
    pub(crate) at: Timestamp,
}

/// Keeps a plugin; the same component of the same merchant again is the one that is there.
pub(crate) async fn insert_plugin(pool: &PgPool, plugin: &NewPlugin<'_>) -> Result<PluginId, DatabaseError> {
    let owner = plugin.merchant.map(|m| uuid(m.as_u128()));
    let inserted: Option<Uuid> = sqlx::query_scalar(
        "insert into plugin (id, merchant, name, hash, component, trial, uploaded_by, uploaded_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing returning id",
    )
    .bind(uuid(plugin.id.as_u128()))
    .bind(owner)
    .bind(plugin.name)
    .bind(plugin.hash)
    .bind(plugin.component)
    .bind(Json(plugin.trial))
    .bind(plugin.by)
    .bind(OffsetDateTime::from(plugin.at))
    .fetch_optional(pool)
    .await?;
    let id = match inserted {
        Some(id) => id,
        None => {
            sqlx::query_scalar("select id from plugin where hash = $1 and merchant is not distinct from $2")
                .bind(plugin.hash)
                .bind(owner)
                .fetch_one(pool)
                .await?
        }
    };
    Ok(PluginId::from_u128(id.as_u128()))
}

fn promotion_view(row: &PgRow) -> Result<PromotionView, sqlx::Error> {
    let rule: Option<Json<serde_json::Value>> = row.try_get("rule")?;
    let kind = if rule.is_some() { "rule" } else { "plugin" };
    Ok(PromotionView {
        id: PromotionId::from_u128(row.try_get::<Uuid, _>("id")?.as_u128()),
        merchant: merchant(row)?,
        label: row.try_get("label")?,
        kind: kind.to_owned(),
        config: match rule {
            Some(rule) => rule.0,
            None => row.try_get::<Json<serde_json::Value>, _>("config")?.0,
        },
        plugin_hash: row.try_get("hash")?,
        active: row.try_get("active")?,
    })
}

/// Plugins after a position, by id. Empty merchants: all of them.
pub(crate) async fn plugins(
    pool: &PgPool,
    merchants: &[MerchantId],
    only: Option<PluginId>,
    after: Option<PluginId>,
    limit: usize,
) -> Result<Vec<PluginView>, DatabaseError> {
    let merchants: Vec<Uuid> = merchants.iter().map(|m| uuid(m.as_u128())).collect();
    let rows = sqlx::query(
        "select id, merchant, name, hash, length(component)::bigint as size, uploaded_at, trial from plugin
         where id > $1 and ($4::uuid is null or id = $4)
           and (cardinality($2::uuid[]) = 0 or merchant = any($2)) order by id limit $3",
    )
    .bind(after.map_or(Uuid::nil(), |id| uuid(id.as_u128())))
    .bind(merchants)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .bind(only.map(|id| uuid(id.as_u128())))
    .fetch_all(pool)
    .await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.try_get("id")).collect::<Result<_, _>>()?;
    let used = sqlx::query(
        "select p.id, p.merchant, p.label, p.rule, p.config, p.active, p.plugin, g.hash
         from promotion p join plugin g on g.id = p.plugin where p.plugin = any($1) and p.active order by p.id",
    )
    .bind(ids)
    .fetch_all(pool)
    .await?;
    let mut views = Vec::with_capacity(rows.len());
    for row in &rows {
        let id: Uuid = row.try_get("id")?;
        let mut promotions = Vec::new();
        for promotion in &used {
            if promotion.try_get::<Uuid, _>("plugin")? == id {
                promotions.push(promotion_view(promotion)?);
            }
        }
        views.push(PluginView {
            id: PluginId::from_u128(id.as_u128()),
            merchant: merchant(row)?,
            name: row.try_get("name")?,
            hash: row.try_get("hash")?,
            size: u64::try_from(row.try_get::<i64, _>("size")?).unwrap_or(0),
            uploaded_at: row.try_get::<OffsetDateTime, _>("uploaded_at")?.into(),
            promotions,
            trial: row.try_get::<Json<serde_json::Value>, _>("trial")?.0,
        });
    }
    Ok(views)
}

/// One plugin with its owner.
pub(crate) async fn plugin(pool: &PgPool, id: PluginId) -> Result<Option<(Option<MerchantId>, String)>, DatabaseError> {
    let row = sqlx::query("select merchant, hash from plugin where id = $1")
        .bind(uuid(id.as_u128()))
        .fetch_optional(pool)
        .await?;
    Ok(row.map(|row| Ok::<_, sqlx::Error>((merchant(&row)?, row.try_get("hash")?))).transpose()?)
}

/// Waits until no other transaction changes promotions, and keeps the others waiting until the commit: how many are
/// active can be counted then.
pub(crate) async fn lock(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("select from promotion_version for update").execute(tx).await.map(|_| ())
}

/// What is active.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub(crate) struct InUse {
    /// Promotions of one owner.
    pub(crate) own: i64,
    /// Promotions of everybody.
    pub(crate) all: i64,
    /// Bytes of one owner's rules as JSON.
    pub(crate) own_rule_bytes: i64,
    /// Bytes of everybody's rules.
    pub(crate) all_rule_bytes: i64,
}

/// What is active under the lock, of this owner and of everybody.
pub(crate) async fn in_use(tx: &mut PgConnection, owner: Option<MerchantId>) -> Result<InUse, sqlx::Error> {
    // Index: promotion_active. Postgres writes a space after each comma and colon, so its text is never shorter than
    // what edges get.
    sqlx::query_as(
        "select count(*) filter (where own) as own, count(*) as all,
                coalesce(sum(bytes) filter (where own), 0)::bigint as own_rule_bytes,
                coalesce(sum(bytes), 0)::bigint as all_rule_bytes
         from (select merchant is not distinct from $1 as own, octet_length(rule::text) as bytes
               from promotion where active) p",
    )
    .bind(owner.map(|m| uuid(m.as_u128())))
    .fetch_one(tx)
    .await
}

/// The promotion that a key has made of a plugin, and the fingerprint of what was asked then.
pub(crate) async fn activation(
    tx: &mut PgConnection,
    plugin: PluginId,
    key: &str,
) -> Result<Option<(String, PromotionId)>, sqlx::Error> {
    let found: Option<(String, Uuid)> =
        sqlx::query_as("select fingerprint, promotion from plugin_activation where plugin = $1 and key = $2")
            .bind(uuid(plugin.as_u128()))
            .bind(key)
            .fetch_optional(tx)
            .await?;
    Ok(found.map(|(fingerprint, id)| (fingerprint, PromotionId::from_u128(id.as_u128()))))
}

/// Keeps which promotion a key has made.
pub(crate) async fn keep_activation(
    tx: &mut PgConnection,
    (plugin, key, fingerprint): (PluginId, &str, &str),
    promotion: PromotionId,
    at: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query("insert into plugin_activation (plugin, key, fingerprint, promotion, at) values ($1, $2, $3, $4, $5)")
        .bind(uuid(plugin.as_u128()))
        .bind(key)
        .bind(fingerprint)
        .bind(uuid(promotion.as_u128()))
        .bind(OffsetDateTime::from(at))
        .execute(tx)
        .await
        .map(|_| ())
}

/// An active promotion that uses a plugin with this label and configuration.
pub(crate) async fn active_like(
    tx: &mut PgConnection,
    plugin: PluginId,
    label: &str,
    config: &serde_json::Value,
) -> Result<Option<PromotionId>, sqlx::Error> {
    // Index: promotion_of_plugin.
    let found: Option<Uuid> = sqlx::query_scalar(
        "select id from promotion where plugin = $1 and label = $2 and config = $3 and active order by id limit 1",
    )
    .bind(uuid(plugin.as_u128()))
    .bind(label)
    .bind(Json(config))
    .fetch_optional(tx)
    .await?;
    Ok(found.map(|id| PromotionId::from_u128(id.as_u128())))
}

/// A promotion's change.
pub(crate) struct Change<'a> {
    pub(crate) id: PromotionId,
    pub(crate) merchant: Option<MerchantId>,
    pub(crate) label: &'a str,
    pub(crate) rule: Option<&'a Rule>,
    pub(crate) plugin: Option<PluginId>,
    pub(crate) config: &'a serde_json::Value,
    pub(crate) active: bool,
    pub(crate) by: &'a str,
    pub(crate) at: Timestamp,
}

/// Writes a promotion under the lock, its audit entry and the next version. `false` when the id belongs to another merchant.
pub(crate) async fn put_promotion(tx: &mut PgConnection, change: &Change<'_>) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "insert into promotion as p (id, merchant, label, rule, plugin, config, active, changed_by, changed_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         on conflict (id) do update set label = excluded.label, rule = excluded.rule, plugin = excluded.plugin,
            config = excluded.config, active = excluded.active, changed_by = excluded.changed_by,
            changed_at = excluded.changed_at
         where p.merchant is not distinct from excluded.merchant",
    )
    .bind(uuid(change.id.as_u128()))
    .bind(change.merchant.map(|m| uuid(m.as_u128())))
    .bind(change.label)
    .bind(change.rule.map(Json))
    .bind(change.plugin.map(|p| uuid(p.as_u128())))
    .bind(Json(change.config))
    .bind(change.active)
    .bind(change.by)
    .bind(OffsetDateTime::from(change.at))
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let data = serde_json::json!({ "rule": change.rule, "plugin": change.plugin, "config": change.config });
    let what = if change.active { "activated" } else { "stored" };
    audit::note(tx, change.id, (change.by, what), &data, change.at).await?;
    next_version(tx).await?;
    Ok(true)
}

/// Takes a promotion out of quotes. `None` when there is none; its merchant otherwise, for the caller's check.
pub(crate) async fn lock_promotion(
    tx: &mut PgConnection,
    id: PromotionId,
) -> Result<Option<Option<MerchantId>>, sqlx::Error> {
    let row = sqlx::query("select merchant from promotion where id = $1 for update")
        .bind(uuid(id.as_u128()))
        .fetch_optional(tx)
        .await?;
    row.as_ref().map(merchant).transpose()
}

/// Takes a locked promotion out of quotes.
pub(crate) async fn deactivate(
    tx: &mut PgConnection,
    id: PromotionId,
    by: &str,
    at: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query("update promotion set active = false, changed_by = $2, changed_at = $3 where id = $1")
        .bind(uuid(id.as_u128()))
        .bind(by)
        .bind(OffsetDateTime::from(at))
        .execute(&mut *tx)
        .await?;
    audit::note(tx, id, (by, "deactivated"), &serde_json::json!({}), at).await?;
    next_version(tx).await
}

async fn next_version(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("update promotion_version set version = version + 1").execute(tx).await.map(|_| ())
}

/// Promotions after a position, by id. Empty merchants: all of them.
pub(crate) async fn promotions(
    pool: &PgPool,
    merchants: &[MerchantId],
    only: Option<PromotionId>,
    after: Option<PromotionId>,
    limit: usize,
) -> Result<Vec<PromotionView>, DatabaseError> {
    let merchants: Vec<Uuid> = merchants.iter().map(|m| uuid(m.as_u128())).collect();
    let rows = sqlx::query(
        "select p.id, p.merchant, p.label, p.rule, p.config, p.active, p.plugin, g.hash
         from promotion p left join plugin g on g.id = p.plugin
         where p.id > $1 and ($4::uuid is null or p.id = $4)
           and (cardinality($2::uuid[]) = 0 or p.merchant = any($2)) order by p.id limit $3",
    )
    .bind(after.map_or(Uuid::nil(), |id| uuid(id.as_u128())))
    .bind(merchants)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .bind(only.map(|id| uuid(id.as_u128())))
    .fetch_all(pool)
    .await?;
    Ok(rows.iter().map(promotion_view).collect::<Result<_, _>>()?)
}
