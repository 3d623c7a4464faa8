-- Runs that lay all payments beside the providers' reports: one a night, and those that somebody asked for.
create table reconciliation (
    id          uuid primary key,
    who         text not null,
    -- Of the run that nobody asked for.
    night       date unique,
    asked_at    timestamptz not null,
    -- From when a process may take it, or take it over from one that is gone.
    due_at      timestamptz,
    finished_at timestamptz,
    lines       bigint not null default 0,
    payments    bigint not null default 0,
    differences bigint not null default 0,
    trouble     text,
    check ((due_at is null) = (finished_at is not null))
);

create index reconciliation_due on reconciliation (due_at) where due_at is not null;
