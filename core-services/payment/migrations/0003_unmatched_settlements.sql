-- Lines of a provider's report that name no payment of ours, and whether a person was shown them.
alter table settlement add column shown boolean not null default false;
create index settlement_unmatched on settlement (provider, settled_at) where intent is null;
create index settlement_by_age on settlement (provider, settled_at);
