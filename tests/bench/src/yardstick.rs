//! What this machine's Postgres does with the rows of orders when nothing stands around it, written by pgbench.
//!
//! * `postgres_reference_batch64`: a fixed set of rows (`reference/*.sql`), 64 orders a transaction, best of 1, 2 and 4 writers.
//!   It never changes, so that figures of different days can be laid beside it.
//! * `postgres_batch64`: the very rows that placing an order writes here, 64 orders a transaction, best of 1, 2 and 4 writers.
//! * `postgres_single`: the same rows, one order a transaction, best of 8, 16 and 32 clients.
//!
//! Our rows are written by prepared statements, as ours are; the fixed ones as their files stand.
//!
//! How many rows of which table an order writes is counted by Postgres while orders are placed; the tables are copies with all
//! their indexes and checks, the rows are copies of real ones under fresh keys.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use bodega_platform::sqlx::{self, AssertSqlSafe, PgPool, Row as _};
use bodega_stack::{Tools, silent};

use crate::{Fault, opened::Opened};

/// Orders of a batch.
const BATCH: i64 = 64;
const WRITERS: [usize; 3] = [1, 2, 4];
const CLIENTS: [usize; 3] = [8, 16, 32];
const SECONDS: u32 = 4;
/// The services that write when an order is placed.
const SCHEMAS: [&str; 3] = ["inventory", "order", "payment"];
/// What is changed of rows that were just written, by table and key: events that have left, counters that were made under their
/// lock.
const CHANGES: [(&str, &str, &str); 2] =
    [("order.outbox", "published = now()", "id"), ("order.quota", "used = 1", "key")];
/// A table that gets less than a row for so many orders is not written by placing: leases of a few jobs, a sweep.
const ORDERS_A_ROW_MAX: i64 = 4;

/// Rows inserted and updated, by schema and table.
pub(crate) type Written = BTreeMap<(String, String), (i64, i64)>;

/// What so many orders have written.
pub(crate) struct Rows {
    pub(crate) orders: i64,
    pub(crate) tables: Written,
}

impl Rows {
    /// Between two counts, so many orders apart.
    pub(crate) fn between(before: &Written, after: &Written, orders: i64) -> Self {
        let each = |(table, (inserted, updated)): (&(String, String), &(i64, i64))| {
            let (was, old) = before.get(table).copied().unwrap_or_default();
            let of_placing = |rows: i64| if rows * ORDERS_A_ROW_MAX >= orders { rows } else { 0 };
            let rows = (of_placing(inserted - was), of_placing(updated - old));
            (rows != (0, 0)).then(|| (table.clone(), rows))
        };
        Self { orders, tables: after.iter().filter_map(each).collect() }
    }

    /// Copies rows of orders that were just placed, before anything else becomes of them.
    pub(crate) async fn copy_some(&self, pool: &PgPool) -> Result<(), Fault> {
        sqlx::raw_sql("create schema yardstick").execute(pool).await?;
        for ((schema, table), (inserted, _)) in &self.tables {
            let copy = format!(
                "create table yardstick.{schema}_{table}_sample as
                 select * from \"{schema}\".{table} order by ctid desc limit {}",
                self.of(*inserted, BATCH)
            );
            sqlx::raw_sql(AssertSqlSafe(copy)).execute(pool).await?;
        }
        Ok(())
    }

    /// What a count comes to for so many orders, to the nearest row.
    const fn of(&self, rows: i64, orders: i64) -> i64 {
        (rows * orders + self.orders / 2) / self.orders
    }
}

/// What Postgres has counted so far.
pub(crate) async fn counted(pool: &PgPool) -> Result<Written, Fault> {
    let rows = sqlx::query(
        "select schemaname, relname, n_tup_ins, n_tup_upd from pg_stat_user_tables where schemaname = any($1)",
    )
    .bind(SCHEMAS.map(str::to_owned).to_vec())
    .fetch_all(pool)
    .await?;
    rows.iter().map(|row| Ok(((row.try_get(0)?, row.try_get(1)?), (row.try_get(2)?, row.try_get(3)?)))).collect()
}

/// The yardstick, ready to be used.
pub(crate) struct Yardstick {
    pgbench: PathBuf,
    url: String,
    folder: PathBuf,
}

impl Yardstick {
    /// Makes the tables and scripts of a yardstick out of what an order was seen to write.
    pub(crate) async fn prepare(opened: &mut Opened, pool: &PgPool, rows: &Rows) -> Result<Self, Fault> {
        let pgbench = tokio::task::block_in_place(|| Tools::obtain(&silent))?.postgres_bin.join("pgbench");
        if !pgbench.is_file() {
            return Err(format!("{} is not there: it comes with a whole Postgres", pgbench.display()).into());
        }
        let (url, folder) = (opened.shop.postgres().url("bodega"), opened.folder().join("yardstick"));
        std::fs::create_dir_all(&folder)?;
        sqlx::raw_sql("create schema reference; create sequence yardstick.n").execute(pool).await?;
        let setup =
            format!("set search_path = reference; {}; reset search_path", include_str!("../reference/setup.sql"));
        sqlx::raw_sql(AssertSqlSafe(setup)).execute(pool).await?;
        std::fs::write(folder.join("reference.sql"), include_str!("../reference/batch64.sql"))?;
        for (orders, name) in [(BATCH, "batch.sql"), (1, "single.sql")] {
            std::fs::write(folder.join(name), script(pool, rows, orders).await?)?;
        }
        sqlx::raw_sql("vacuum analyze").execute(pool).await?;
        Ok(Self { pgbench, url, folder })
    }

    /// Orders a second of the fixed rows, in batches.
    pub(crate) fn reference(&self) -> Result<f64, Fault> {
        self.best("reference.sql", BATCH, &WRITERS, "simple")
    }

    /// Orders a second of our rows, in batches.
    pub(crate) fn batch(&self) -> Result<f64, Fault> {
        self.best("batch.sql", BATCH, &WRITERS, "prepared")
    }

    /// Orders a second of our rows, one by one.
    pub(crate) fn single(&self) -> Result<f64, Fault> {
        self.best("single.sql", 1, &CLIENTS, "prepared")
    }

    fn best(&self, script: &str, orders: i64, clients: &[usize], protocol: &str) -> Result<f64, Fault> {
        let mut best = 0.0_f64;
        for clients in clients {
            best = best.max(self.run(&self.folder.join(script), *clients, protocol)? * orders as f64);
        }
        Ok(best)
    }

    /// Transactions a second.
    fn run(&self, script: &Path, clients: usize, protocol: &str) -> Result<f64, Fault> {
        let (clients, seconds) = (clients.to_string(), SECONDS.to_string());
        let mut command = Command::new(&self.pgbench);
        command.args(["--no-vacuum", "--protocol", protocol, "--client", &clients, "--jobs", "2", "--time", &seconds]);
        command.arg("--file").arg(script);
        let run = || command.arg(&self.url).env("PGOPTIONS", "-c search_path=reference").output();
        let done = tokio::task::block_in_place(run)?;
        let said = String::from_utf8_lossy(&done.stdout);
        let rate = said.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        let failed = said.lines().any(|line| {
            line.strip_prefix("number of failed transactions: ").is_some_and(|count| !count.starts_with('0'))
        });
        match rate {
            Some(rate) if done.status.success() && !failed => Ok(rate),
            _ => Err(format!("pgbench: {said}{}", String::from_utf8_lossy(&done.stderr)).into()),
        }
    }
}

/// A transaction that writes the rows of so many orders: set-based, one statement a table, stock locked in one order first.
async fn script(pool: &PgPool, rows: &Rows, orders: i64) -> Result<String, Fault> {
    let mut script = String::from("select nextval('yardstick.n') as s \\gset\nbegin;\n");
    let stock = ("inventory".to_owned(), "stock".to_owned());
    if let Some((_, updated)) = rows.tables.get(&stock) {
        script += &stock_statement(pool, rows.of(*updated, orders)).await?;
    }
    for (table, (inserted, updated)) in rows.tables.iter().filter(|(table, _)| **table != stock) {
        let inserted = rows.of(*inserted, orders);
        let copy = Copy::of(pool, table, inserted).await?;
        if inserted > 0 {
            script += &copy.insert;
        }
        if rows.of(*updated, orders) > 0 {
            script += &copy.update.ok_or_else(|| format!("{table:?} is updated, nobody knows how"))?;
        }
    }
    script += "commit;\n";
    Ok(script)
}

async fn stock_statement(pool: &PgPool, rows: i64) -> Result<String, Fault> {
    sqlx::raw_sql(
        "create table if not exists yardstick.stock (like inventory.stock including all);
         create table if not exists yardstick.shelf (n bigint primary key, sku_no bigint not null, location uuid not null);
         insert into yardstick.stock select * from inventory.stock on conflict do nothing;
         insert into yardstick.shelf select row_number() over (order by sku_no, location) - 1, sku_no, location
         from inventory.stock on conflict do nothing;",
    )
    .execute(pool)
    .await?;
    let shelves: i64 = sqlx::query_scalar("select count(*) from yardstick.shelf").fetch_one(pool).await?;
    Ok(format!(
        "with wanted as (select sku_no, location, count(*) as units from generate_series(1, {rows}) g
                join yardstick.shelf on n = ((:s)::bigint * 131071 + g * 7919) % {shelves} group by 1, 2),
     locked as (select s.sku_no, s.location from yardstick.stock s join wanted using (sku_no, location)
                order by 1, 2 for update of s)
update yardstick.stock s set pending = pending + units from wanted w join locked using (sku_no, location)
where s.sku_no = w.sku_no and s.location = w.location and s.on_hand - s.safety - s.pending - s.posted >= units;
"
    ))
}

/// The key of the `{n}`th row of a transaction. Ascending, as ids are that begin with a time.
fn fresh(kind: &str) -> Option<&'static str> {
    match kind {
        "uuid" => Some("lpad(to_hex((:s)::bigint * 1000 + {n}), 32, '0')::uuid"),
        "text" => Some("((:s)::bigint * 1000 + {n})::text"),
        _ => None,
    }
}

/// How rows of one table are written.
struct Copy {
    insert: String,
    /// Where rows are changed right after they were written: events that have left.
    update: Option<String>,
}

impl Copy {
    async fn of(pool: &PgPool, (schema, table): &(String, String), rows: i64) -> Result<Self, Fault> {
        let name = format!("yardstick.{schema}_{table}");
        let prepare = format!("create table if not exists {name} (like \"{schema}\".{table} including all)");
        sqlx::raw_sql(AssertSqlSafe(prepare)).execute(pool).await?;
        let columns = sqlx::query(
            "select a.attname::text, format_type(a.atttypid, null),
                    exists (select from pg_index i where i.indrelid = a.attrelid and i.indisunique and i.indpred is null
                            and a.attnum = any(i.indkey)
                            -- With an id in it, the id alone has to be fresh.
                            and (a.atttypid = 'uuid'::regtype
                                 or not exists (select from pg_attribute id where id.attrelid = i.indrelid
                                                and id.attnum = any(i.indkey) and id.atttypid = 'uuid'::regtype)))
             from pg_attribute a
             where a.attrelid = $1::text::regclass and a.attnum > 0 and not a.attisdropped
               and a.attidentity = '' and a.attgenerated = ''
               and not exists (select from pg_attrdef d where d.adrelid = a.attrelid and d.adnum = a.attnum
                               and pg_get_expr(d.adbin, d.adrelid) like 'nextval%')
             order by a.attnum",
        )
        .bind(&name)
        .fetch_all(pool)
        .await?;
        let (mut names, mut values, mut kinds) = (String::new(), String::new(), BTreeMap::new());
        for column in &columns {
            let (column, kind, unique): (String, String, bool) =
                (column.try_get(0)?, column.try_get(1)?, column.try_get(2)?);
            let value = match kind.as_str() {
                kind if unique => match fresh(kind) {
                    Some(fresh) => fresh.replace("{n}", "(row_number() over ())"),
                    None => format!("\"{column}\""),
                },
                _ if column == "published" => "null".to_owned(),
                _ => format!("\"{column}\""),
            };
            kinds.insert(column.clone(), kind.clone());
            let comma = if names.is_empty() { "" } else { ", " };
            let _ = write!(names, "{comma}\"{column}\"");
            let _ = write!(values, "{comma}{value}");
        }
        let change = CHANGES.iter().find(|(of, ..)| *of == format!("{schema}.{table}"));
        Ok(Self {
            insert: format!(
                "insert into {name} ({names}) select {values} from (select * from {name}_sample limit {rows}) s;\n"
            ),
            update: change.and_then(|(_, set, key)| {
                let kind = kinds.get(*key)?;
                let keys = fresh(kind)?.replace("{n}", "n");
                Some(format!(
                    "update {name} set {set} where {key} in (select {keys} from generate_series(1, {rows}) n);\n"
                ))
            }),
        })
    }
}
