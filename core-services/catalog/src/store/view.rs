//! Writing views: only what differs is written, and what is written waits for its position.

use sqlx::PgConnection;

/// Kind and key of a view that changed.
pub(crate) type Changed = Vec<(String, String)>;

/// An insert of the rows `(kind, key, body)` of a common table expression `source`. A body that is there already under
/// its hash changes nothing; any other raises the version and waits for its position.
macro_rules! write_views {
    ($source:literal) => {
        concat!(
            "with ",
            $source,
            " insert into view as v (kind, key, version, deleted, hash, digest, bytes, body, position)
              select kind, key, 1, false, sha256(convert_to(body::text, 'UTF8')), view_digest(kind, key, 1),
                     octet_length(body::text), body, null
              from source order by kind, key
              on conflict (kind, key) do update set
                  version = v.version + 1, deleted = false, hash = excluded.hash,
                  digest = view_digest(v.kind, v.key, v.version + 1), bytes = excluded.bytes, body = excluded.body,
                  position = null
              where v.hash is distinct from excluded.hash
              returning kind, key"
        )
    };
}
pub(crate) use write_views;

/// Views to write or to delete, as columns.
#[derive(Debug, Default)]
pub(crate) struct Views {
    kinds: Vec<String>,
    keys: Vec<String>,
    bodies: Vec<String>,
    gone_kinds: Vec<String>,
    gone_keys: Vec<String>,
}

impl Views {
    /// A view with its body as JSON.
    pub(crate) fn put(&mut self, kind: &str, key: impl Into<String>, body: String) {
        self.kinds.push(kind.to_owned());
        self.keys.push(key.into());
        self.bodies.push(body);
    }

    /// A view that is no more.
    pub(crate) fn delete(&mut self, kind: &str, key: impl Into<String>) {
        self.gone_kinds.push(kind.to_owned());
        self.gone_keys.push(key.into());
    }
}

/// Writes what differs and gives back which that was. A key may be in `views` once.
pub(crate) async fn write(connection: &mut PgConnection, views: &Views) -> Result<Changed, sqlx::Error> {
    let mut changed: Changed = Vec::new();
    if !views.keys.is_empty() {
        changed = sqlx::query_as(write_views!(
            "source as (select kind, key, body::jsonb as body
                        from unnest($1::text[], $2::text[], $3::text[]) as s (kind, key, body))"
        ))
        .bind(&views.kinds)
        .bind(&views.keys)
        .bind(&views.bodies)
        .fetch_all(&mut *connection)
        .await?;
    }
    if !views.gone_keys.is_empty() {
        // Locked in the order of the primary key, like the insert above.
        let gone: Changed = sqlx::query_as(
            "with gone as (
                select v.kind, v.key from view v
                join (select distinct kind, key from unnest($1::text[], $2::text[]) as g (kind, key)) g using (kind, key)
                where not v.deleted order by v.kind, v.key for update of v)
             update view set version = version + 1, deleted = true, hash = '', digest = 0, bytes = 0, body = null,
                    position = null
             from gone where view.kind = gone.kind and view.key = gone.key
             returning view.kind, view.key",
        )
        .bind(&views.gone_kinds)
        .bind(&views.gone_keys)
        .fetch_all(connection)
        .await?;
        changed.extend(gone);
    }
    Ok(changed)
}
