-- Which promotion an idempotency key has made: sent twice, a form makes one.
create table plugin_activation (
    plugin      uuid        not null references plugin (id),
    -- SHA-256 of the asker's key, whose characters are the asker's choice.
    key         text        not null,
    -- SHA-256 of the label and the configuration.
    fingerprint text        not null,
    promotion   uuid        not null,
    at          timestamptz not null,
    primary key (plugin, key)
);

create index promotion_of_plugin on promotion (plugin) where plugin is not null;

-- Trials keep how each cart ended, no longer every effect: a page of plugins has to fit into a message. What was kept
-- has ended well or with a refusal that was no objection.
update plugin set trial = jsonb_set(trial, '{trial,cases}', coalesce((
    select jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
        'cart', c -> 'cart',
        'outcome', case when c #> '{verdict,outcome,ok}' is null then 'refused' else 'ok' end,
        'reason', c #> '{verdict,outcome,refused,other}',
        'effects', coalesce(jsonb_array_length(c #> '{verdict,outcome,ok}'), 0),
        'fuel', c #> '{verdict,fuel}')) order by n)
    from jsonb_array_elements(trial #> '{trial,cases}') with ordinality as cases (c, n)), '[]'))
where trial #> '{trial,cases}' is not null;
