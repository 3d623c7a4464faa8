-- Who has looked at it; when is in `closed_at`.
alter table exception add column closed_by text,
    add constraint exception_closed_by_somebody check ((closed_at is null) = (closed_by is null));
