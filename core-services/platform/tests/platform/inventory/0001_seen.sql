create table seen (order_id uuid primary key, times integer not null);
