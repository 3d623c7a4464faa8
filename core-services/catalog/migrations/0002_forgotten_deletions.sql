-- Deletions are told for a week and then forgotten, or every session that was ever ended would stay for ever. Whoever
-- stopped before the horizon begins again with a snapshot.
alter table view add column deleted_at timestamptz;
update view set deleted_at = now() where deleted;
create index view_deleted on view (deleted_at) where deleted;
alter table feed add column horizon bigint not null default 0;
