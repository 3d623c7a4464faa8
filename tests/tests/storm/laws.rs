//! What must be true once a storm is over, of every order, unit and cent there is.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, PgConnection, types::Uuid};

use crate::shoppers::Told;

/// A law that the tables alone can break: rows of `broken` say what is wrong, and `plant` breaks it, to show that it is seen.
pub(crate) struct Law {
    pub(crate) name: &'static str,
    broken: &'static str,
    plant: &'static str,
    /// It is broken until everything has come to rest, rightly.
    pub(crate) at_rest: bool,
}

/// All of them.
pub(crate) const LAWS: &[Law] = &[
    Law {
        name: "no location promises more than it has",
        broken: "select format('%s at %s', sku_no, location) from inventory.stock
                 where least(on_hand, pending, posted, short, safety) < 0 or pending + posted > on_hand + short",
        plant: "alter table inventory.stock drop constraint nothing_is_promised_twice;
                update inventory.stock set posted = on_hand + short + 1
                where (sku_no, location) = (select sku_no, location from inventory.stock limit 1)",
        at_rest: false,
    },
    Law {
        name: "on hand is the sum of its movements, pending and posted are the sums of holds",
        broken: "select format('%s at %s: %s', s.sku_no, s.location, array[on_hand, s.pending, s.posted,
                        coalesce(m.delta, 0), coalesce(h.pending, 0), coalesce(h.posted, 0)])
                 from inventory.stock s
                 left join (select sku_no, location, sum(delta) as delta from inventory.movement group by 1, 2) m
                     using (sku_no, location)
                 left join (select sku_no, location, sum(quantity) filter (where state = 0) as pending,
                                   sum(quantity - shipped - released) filter (where state = 1) as posted
                            from inventory.hold_line join inventory.hold using (order_id) group by 1, 2) h
                     using (sku_no, location)
                 where (on_hand, s.pending, s.posted)
                       <> (coalesce(m.delta, 0), coalesce(h.pending, 0), coalesce(h.posted, 0))",
        plant: "update inventory.stock set on_hand = on_hand + 1
                where (sku_no, location) = (select sku_no, location from inventory.stock limit 1)",
        at_rest: false,
    },
    Law {
        name: "what orders have still to send is what inventory keeps for them, unit by unit",
        broken: "select format('%s, article %s: %s to send, %s kept', order_id, sku_no, o.units, h.units)
                 from (select l.order_id, l.sku_no, sum(quantity - cancelled - shipped) as units
                       from \"order\".order_line l join \"order\".saga s using (order_id)
                       where s.step = '\"settled\"' group by 1, 2) o
                 full join (select order_id, sku_no, sum(quantity - shipped - released) as units
                            from inventory.hold_line join inventory.hold using (order_id)
                            where state < 2 group by 1, 2) h using (order_id, sku_no)
                 where coalesce(o.units, 0) <> coalesce(h.units, 0)",
        plant: "update \"order\".order_line set cancelled = cancelled + 1
                where (order_id, n) = (select order_id, n from \"order\".order_line join \"order\".saga using (order_id)
                                       where step = '\"settled\"' and cancelled + preparing + shipped < quantity limit 1)",
        at_rest: false,
    },
    Law {
        name: "no hold without an order that owns it",
        broken: "select format('%s is held (%s)', order_id, h.state) from inventory.hold h
                 where h.state < 2 and not exists (
                     select from \"order\".orders o where o.id = h.order_id and o.status not in ('cancelled', 'expired'))",
        plant: "update \"order\".orders set status = 'cancelled'
                where id = (select order_id from inventory.hold where state = 1 limit 1)",
        at_rest: true,
    },
    Law {
        name: "each order has come to rest",
        broken: "select format('%s is %s at %s', o.id, o.status, s.step) from \"order\".orders o
                 left join \"order\".saga s on s.order_id = o.id
                 where s.step is null or not ((s.step = '\"settled\"' and o.status in ('paid', 'in_fulfilment', 'delivered', 'completed'))
                            or (s.step ? 'ended' and o.status in ('cancelled', 'expired')))
                 union all
                 select format('saga %s of %s is %s at step %s', kind, order_id, way, at) from \"order\".run
                 where way not in ('done', 'undone')",
        plant: "update \"order\".orders set status = 'awaiting_payment'
                where id = (select order_id from \"order\".saga where step = '\"settled\"' limit 1)",
        at_rest: true,
    },
    Law {
        name: "refunded ≤ captured ≤ authorised, and nothing is asked for twice",
        broken: "select format('%s: %s of %s, %s back', order_id, captured, authorised, refunded) from payment.intent
                 where captured > authorised or refunded > captured or refund_claimed > captured
                    or capture_claimed > authorised or captured > amount
                    or (waiting + forgone > 0 and capture_claimed + waiting + forgone > amount)",
        plant: "update payment.intent set authorised = authorised + amount, captured = captured + amount
                where id = (select id from payment.intent where captured > 0 limit 1)",
        at_rest: false,
    },
    Law {
        name: "accounts recomputed from transfers equal counters",
        broken: "select format('%s: %s', i.order_id, array[i.captured, i.refunded, i.disputed, t.clearing, t.kept])
                 from payment.intent i
                 cross join lateral (
                     select coalesce(sum(amount) filter (where debit = 'provider_clearing'), 0)
                            - coalesce(sum(amount) filter (where credit = 'provider_clearing'), 0) as clearing,
                            coalesce(sum(amount) filter (where credit like 'merchant_%' or credit in ('tax_payable', 'platform_fee')), 0)
                            - coalesce(sum(amount) filter (where debit like 'merchant_%' or debit in ('tax_payable', 'platform_fee')), 0) as kept
                     from payment.transfer where intent = i.id and reason <> 'provider_fee') t
                 where t.clearing <> i.captured - i.refunded - i.disputed
                    or t.kept <> i.booked_applied - i.booked_applied_refunded",
        plant: "update payment.intent set booked_applied = booked_applied - 1
                where id = (select id from payment.intent where booked_applied > 0 limit 1)",
        at_rest: false,
    },
    Law {
        name: "order totals are what was taken, waits, or was never wanted",
        broken: "select format('%s %s over %s: %s', o.id, o.status, o.total, array[i.captured, i.refunded, i.waiting, i.forgone])
                 from \"order\".orders o left join payment.intent i on i.order_id = o.id
                 where i.id is null or case when o.status in ('cancelled', 'expired') then i.captured <> i.refunded
                            else i.captured + i.waiting + i.forgone <> o.total end",
        plant: "update \"order\".orders set total = total + 1
                where id = (select order_id from payment.intent where captured > 0 limit 1)",
        at_rest: false,
    },
    Law {
        name: "one key, one order",
        broken: "select format('%s under %s', key, owner) from \"order\".checkout_key
                 where not exists (select from \"order\".orders o where o.id = order_id)",
        plant: "delete from \"order\".orders where id = (select order_id from \"order\".checkout_key limit 1)",
        at_rest: false,
    },
    Law {
        name: "what was given back of an order is what its parts say",
        broken: "select format('%s: parts %s, payment %s', o.id, p.refunded, array[i.refunded, i.forgone])
                 from \"order\".orders o join payment.intent i on i.order_id = o.id
                 join (select order_id, sum(refunded) as refunded from \"order\".order_part group by 1) p on p.order_id = o.id
                 where o.status not in ('cancelled', 'expired')
                   and (p.refunded > i.refunded + i.forgone or (i.at_shipment = '[]' and p.refunded <> i.refunded))",
        plant: "update \"order\".order_part set refunded = total where order_id =
                    (select o.id from \"order\".orders o where o.status in ('paid', 'in_fulfilment') and o.total > 0 limit 1)",
        at_rest: false,
    },
    Law {
        name: "no event is lost",
        broken: "select format('%s %s', subject, id) from \"order\".outbox o
                 where published is null
                    or (subject ~ '^evt.order.v1.(placed|status_changed|shipped|delivered|lines_cancelled|return_changed)'
                        and not exists (select from notification.inbox i where i.event_id = o.id))
                 union all select format('%s %s', subject, id) from inventory.outbox o
                 where published is null
                    or (subject = 'evt.inventory.v1.stock_alerts'
                        and not exists (select from notification.inbox i where i.event_id = o.id))
                 union all select format('%s %s', subject, id) from payment.outbox where published is null",
        plant: "delete from notification.inbox where event_id = (select event_id from notification.inbox limit 1)",
        at_rest: true,
    },
    Law {
        name: "no event is applied twice",
        broken: "select format('%s mails that %s of %s was %s', count(*), about, order_id, kind) from notification.mail
                 where kind in ('shipped', 'delivered') group by order_id, kind, about having count(*) > 1",
        plant: "insert into notification.mail (id, order_id, kind, about, state, created_at)
                select gen_random_uuid(), order_id, kind, about, 'sent', created_at from notification.mail
                where kind = 'shipped' limit 1",
        at_rest: false,
    },
    Law {
        name: "nothing is left to be asked or told",
        broken: "select format('%s of %s', kind, intent) from payment.job where kind <> 'poll'
                 union all select format('%s is not told', order_id) from payment.intent where told_revision < revision",
        plant: "update payment.intent set revision = revision + 1 where id = (select id from payment.intent limit 1)",
        at_rest: true,
    },
];

impl Law {
    /// What breaks it.
    pub(crate) async fn broken(&self, connection: &mut PgConnection) -> Vec<String> {
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(self.broken.to_owned()))
            .fetch_all(connection)
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", self.name));
        rows.into_iter().map(|row| format!("{}: {row}", self.name)).collect()
    }

    /// Whether it is seen when it is broken; what was planted is taken back.
    pub(crate) async fn is_seen_broken(&self, connection: &mut PgConnection) -> bool {
        sqlx::raw_sql("begin").execute(&mut *connection).await.expect("a transaction");
        let planted = sqlx::raw_sql(AssertSqlSafe(self.plant.to_owned())).execute(&mut *connection).await;
        let rows = planted.unwrap_or_else(|error| panic!("{}: cannot be broken: {error}", self.name)).rows_affected();
        assert!(rows > 0, "{}: there was nothing to break", self.name);
        let seen = !self.broken(connection).await.is_empty();
        sqlx::raw_sql("rollback").execute(connection).await.expect("the end of a transaction");
        seen
    }
}

/// What shoppers were told that is not so.
pub(crate) async fn lies(told: &[Told], connection: &mut PgConnection) -> Vec<String> {
    let orders: Vec<(Uuid, i64)> =
        sqlx::query_as("select id, total from \"order\".orders").fetch_all(connection).await.expect("orders");
    let orders: BTreeMap<String, i64> = orders
        .into_iter()
        .map(|(id, total)| (bodega_domain::id::OrderId::from_u128(id.as_u128()).to_string(), total))
        .collect();
    let mut lies = Vec::new();
    for told in told {
        lies.extend(told.unclear.iter().map(|answer| format!("{}: no clear answer: {answer}", told.key)));
        if told.orders.len() > 1 {
            lies.push(format!("{}: one key named {:?}", told.key, told.orders));
        }
        for order in &told.orders {
            match orders.get(order) {
                None => lies.push(format!("{}: {order} was confirmed and does not exist", told.key)),
                Some(total) if *total != told.total => {
                    lies.push(format!("{}: {order} costs {total}, {} was shown", told.key, told.total));
                }
                Some(_) => {}
            }
        }
    }
    lies
}
