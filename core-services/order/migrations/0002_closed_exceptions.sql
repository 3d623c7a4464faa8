-- Somebody has looked at it: when, and who.
alter table exception add column closed_at timestamptz, add column closed_by text,
    add constraint exception_closed_by_somebody check ((closed_at is null) = (closed_by is null));
create index exception_open on exception (n) where closed_at is null;
