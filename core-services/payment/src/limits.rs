//! Every limit of this service, with its unit in the name.

/// Requests that wait to be written; more are refused as `overloaded`.
pub const QUEUE_MAX: usize = 4_096;
/// Requests written in one transaction.
pub const BATCH_MAX: usize = 128;
/// Transactions under way at once: two keep the database busy while the other one computes.
pub const WRITERS: usize = 2;
/// Orders in one message.
pub const MESSAGE_ORDERS_MAX: usize = 256;
/// Provider calls under way at once.
pub const CALLS_AT_ONCE_MAX: usize = 48;
/// Provider calls that wait in this process; more wait as rows.
pub const CALLS_WAITING_MAX: usize = 4_096;
/// Milliseconds that a call taken by a process is its own; afterwards any process takes it again. Longer than a call may
/// take, twice.
pub const JOB_LEASE_MS: i64 = 25_000;
/// Milliseconds between two looks for calls that are due.
pub const JOB_LOOK_MS: u64 = 500;
/// Calls taken at one look.
pub const JOB_TAKE_MAX: i64 = 128;
/// Milliseconds until the first repetition of a call whose outcome is not known; it doubles.
pub const RETRY_FIRST_MS: i64 = 500;
/// Longest pause between repetitions.
pub const RETRY_MAX_MS: i64 = 60_000;
/// Milliseconds until an attempt without final word is asked about; it doubles.
pub const POLL_FIRST_MS: i64 = 2_000;
/// Longest pause between such questions.
pub const POLL_MAX_MS: i64 = 10 * 60_000;
/// Hours for which a provider surely remembers an idempotency key (Stripe: 24); afterwards it is asked what it knows.
pub const PROVIDER_KEY_HOURS: i64 = 20;
/// Milliseconds until an unacknowledged change is told again; it doubles.
pub const TELL_AGAIN_MS: i64 = 2_000;
/// Longest pause between two tellings.
pub const TELL_MAX_MS: i64 = 60_000;
/// Intents told in one message.
pub const TELL_BATCH_MAX: usize = 64;
/// Seconds by which a webhook's signature may be old or early.
pub const WEBHOOK_TOLERANCE_S: i64 = 300;
/// Bytes of a webhook.
pub const WEBHOOK_BYTES_MAX: usize = 256 * 1024;
/// Seconds between two looks for webhooks that spoke of a payment before we knew the provider's id of it.
pub const EARLY_EVERY_S: u64 = 5;
/// Hours for which such a webhook is looked at: a payment's id is asked for until it is known, within minutes.
pub const EARLY_HOURS: i64 = 24;
/// Such webhooks taken at one look.
pub const EARLY_TAKE_MAX: i64 = 100;
/// Hours for which late money waits for its order to be made again, where its merchants want that.
pub const LATE_HELD_HOURS: i64 = 24;
/// Seconds between two looks for late money that has waited long enough.
pub const LATE_EVERY_S: u64 = 5;
/// Payments with such money taken at one look.
pub const LATE_TAKE_MAX: i64 = 100;
/// Last changes of a merchant's policy that are shown.
pub const POLICY_CHANGES_SHOWN_MAX: i64 = 12;
/// Days for which raw webhooks stay.
pub const WEBHOOK_DAYS: i64 = 30;
/// Seconds between two deletions of old webhooks.
pub const CLEAN_EVERY_S: u64 = 3_600;
/// Payments whose books are added up in one statement.
pub const ADD_UP_PAGE: i64 = 2_000;
/// Milliseconds between two such statements.
pub const ADD_UP_PAUSE_MS: u64 = 50;
/// Times that an authorisation is taken from; the last one takes all that waits (Stripe: 50).
pub const CAPTURES_MAX: usize = 48;
/// Hours before the end of an authorisation from which a person is told that some of it still waits.
pub const CAPTURE_WARN_HOURS: i64 = 24;
/// Seconds between two looks into the providers' settlement reports.
pub const SETTLEMENT_EVERY_S: u64 = 60;
/// Minutes after which a line of a settlement report should have found its payment.
pub const UNMATCHED_AFTER_MIN: i64 = 60;
/// Hours after which a report should tell of money that was taken or given back.
pub const SETTLED_AFTER_HOURS: i64 = 24;
/// Hours after midnight, UTC, at which all payments are laid beside the reports.
pub const NIGHT_HOURS: i64 = 2;
/// Days of the reports that are read again then, for lines that came late.
pub const REREAD_DAYS: i64 = 3;
/// Milliseconds between two looks for such a run that is due.
pub const RECONCILE_LOOK_MS: u64 = 2_000;
/// Minutes after its last word from which a run is taken over by another process.
pub const RECONCILE_LEASE_MIN: i64 = 5;
/// Lines that found none in one exception.
pub const UNMATCHED_SHOWN_MAX: i64 = 20;
/// Lines of a settlement report in one question.
pub const SETTLEMENT_PAGE: usize = 100;
/// Basis points of a merchant's net sale that the marketplace keeps.
pub const PLATFORM_FEE_BP: u32 = 500;
/// Bytes of a key, a method's name or a provider's name.
pub const NAME_BYTES_MAX: usize = 200;
/// Transfers of an order, or accounts, in one answer: more than any order has, and they fit into a message.
pub const TRANSFERS_MAX: i64 = 2_000;
/// Items of a page.
pub const PAGE_MAX: i64 = 50;
/// Bytes of a provider's answer: a page of a settlement report takes a tenth of it.
pub const ANSWER_BYTES_MAX: usize = 1024 * 1024;
