-- Since when a step that is never given up waits for another service; empty once somebody was told.
alter table saga add column waiting_since timestamptz;
update saga set waiting_since = now() where due is not null;
