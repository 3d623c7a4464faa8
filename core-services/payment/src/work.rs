//! Calls to providers: made outside any transaction, by job rows that are there before and gone after.

use std::sync::Arc;

use bodega_domain::{money::Money, payment::Fact};
use bodega_platform::{Batcher, Context, telemetry::metrics};
use tokio::sync::{Mutex, mpsc};

use crate::{
    engine::{Command, Reply, Target},
    intent::{AttemptWord, JobWord, Lesson, RefundWord},
    job::{Job, JobKind},
    limits::{JOB_LEASE_MS, JOB_LOOK_MS, JOB_TAKE_MAX, PROVIDER_KEY_HOURS},
    provider::{Pay, Provider, ProviderError, Providers, Seen, Take},
    store,
};

/// What commands come back with.
pub(crate) type Outcome = Result<Reply, bodega_domain::Failure>;

/// Makes calls.
#[derive(Clone)]
pub(crate) struct Worker {
    pub(crate) context: Context,
    pub(crate) providers: Providers,
    pub(crate) commands: Batcher<Command, Outcome>,
    pub(crate) waiting: Arc<Mutex<mpsc::Receiver<Job>>>,
    pub(crate) jobs: mpsc::Sender<Job>,
}

impl Worker {
    /// Makes one call after the other, until the stop.
    pub(crate) async fn run(self) {
        let stopping = self.context.tasks().stopping();
        loop {
            let next = async { self.waiting.lock().await.recv().await };
            let job = tokio::select! {
                () = stopping.cancelled() => return,
                job = next => job,
            };
            let Some(job) = job else { return };
            self.make(job).await;
        }
    }

    async fn make(&self, job: Job) {
        let (kind, intent) = (job.kind, job.intent);
        let Some(provider) = self.providers.get(&job.provider) else {
            tracing::error!(provider = job.provider, %intent, "a payment's provider is not configured any more");
            return;
        };
        let labels = [("provider", job.provider.clone()), ("call", kind.as_str().to_owned())];
        let labels = labels.each_ref().map(|(name, value)| (*name, value.as_str()));
        let asked = tokio::time::Instant::now();
        let lesson = call(provider.as_ref(), &self.context, job).await;
        metrics::histogram("bodega_payment_call_seconds", &labels).observe(asked.elapsed());
        if lesson.seen.is_none() {
            metrics::counter("bodega_payment_calls_without_word_total", &labels).add(1);
        }
        self.context.failpoints().hit(crash_point(kind)).await;
        let command = Command::Learn { target: Target::Intent(intent), lesson: Box::new(lesson), raw: None };
        // What cannot be written now is asked again: the row of the job is still there.
        match self.commands.submit(command).await {
            Ok(Ok(_)) => {}
            Ok(Err(failure)) => tracing::warn!(%failure, ?kind, %intent, "an answer of the provider was not written"),
            Err(error) => tracing::warn!(%error, ?kind, %intent, "an answer of the provider was not written"),
        }
    }

    /// Takes what is due: what a crash left, what has to be asked again, what was too much at once.
    pub(crate) async fn look(self) {
        let postgres = self.context.postgres();
        match store::jobs::all_due(postgres.pool(), self.context.clock().now()).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "calls to providers are taken up again"),
            Err(error) => {
                tracing::warn!(%error, "calls that were under way cannot be read");
                return;
            }
        }
        let tasks = self.context.tasks();
        loop {
            let now = self.context.clock().now();
            match store::jobs::take(postgres.pool(), now, now.plus_ms(JOB_LEASE_MS), JOB_TAKE_MAX).await {
                Ok(jobs) => {
                    for job in jobs {
                        if self.jobs.send(job).await.is_err() {
                            return;
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "calls that are due cannot be read"),
            }
            if tasks.pause(std::time::Duration::from_millis(JOB_LOOK_MS)).await {
                return;
            }
        }
    }
}

/// Where a test may crash: after the provider has answered, before that is committed.
const fn crash_point(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Pay => "payment.after_call",
        JobKind::Capture => "payment.after_capture",
        JobKind::Release => "payment.after_release",
        JobKind::Cancel => "payment.after_cancel",
        JobKind::Refund => "payment.after_refund",
        JobKind::Poll => "payment.after_poll",
    }
}

/// Makes a call and says what it taught.
async fn call(provider: &dyn Provider, context: &Context, job: Job) -> Lesson {
    let mut lesson = match job.kind {
        JobKind::Pay => pay(provider, context, &job).await,
        JobKind::Capture => capture(provider, &job).await,
        JobKind::Release => release(provider, &job).await,
        JobKind::Cancel => cancel(provider, &job).await,
        JobKind::Refund => refund(provider, context, &job).await,
        JobKind::Poll => poll(provider, &job).await,
    };
    let word = lesson.job.take().map_or(JobWord::Done, |(_, word)| word);
    lesson.job = Some((job, word));
    lesson
}

/// A lesson without a word about its job; [`call`] adds the job.
fn lesson(job: &Job, seen: Option<Seen>, word: JobWord) -> Lesson {
    Lesson { seen, job: Some((job.clone(), word)), ..Lesson::default() }
}

/// Nothing was learned but that it has to be asked again.
fn again(job: &Job, error: &ProviderError) -> Lesson {
    tracing::warn!(kind = ?job.kind, intent = %job.intent, tries = job.tries, %error, "the provider is asked again");
    lesson(job, None, JobWord::Again)
}

async fn pay(provider: &dyn Provider, context: &Context, job: &Job) -> Lesson {
    let attempt = job.attempt();
    let pay = Pay {
        intent: job.intent,
        order: job.order,
        amount: job.amount,
        method: &job.method,
        return_url: job.return_url.as_deref(),
        attempt,
    };
    let result = if key_may_be_forgotten(context, job) {
        // Asking again could pay twice, so ask what there is.
        found(provider, job).await
    } else {
        match &job.reference {
            None => provider.pay(pay).await,
            Some(reference) => provider.confirm(reference, pay).await,
        }
    };
    match result {
        Ok(seen) => {
            let reference = seen.observation.attempt.as_ref().map_or_else(|| attempt.to_string(), |(r, _)| r.clone());
            let word = AttemptWord::Answered(reference);
            Lesson { attempt: Some((attempt, word)), ..lesson(job, Some(seen), JobWord::Done) }
        }
        Err(ProviderError::Refused { code, seen }) => {
            tracing::info!(intent = %job.intent, %attempt, code, "the provider does not take this attempt");
            let reference = attempt.to_string();
            Lesson {
                facts: vec![Fact::Refused(reference.clone())],
                attempt: Some((attempt, AttemptWord::Answered(reference))),
                ..lesson(job, seen.map(|seen| *seen), JobWord::Done)
            }
        }
        Err(error @ ProviderError::Unavailable(_)) => again(job, &error),
        Err(error @ ProviderError::Unknown(_)) => {
            Lesson { attempt: Some((attempt, AttemptWord::Unknown)), ..again(job, &error) }
        }
    }
}

/// Whether the provider may have forgotten the key, and would do it once more.
fn key_may_be_forgotten(context: &Context, job: &Job) -> bool {
    context.clock().now().ms_since(job.created_at) > PROVIDER_KEY_HOURS * 3_600_000
}

async fn found(provider: &dyn Provider, job: &Job) -> Result<Seen, ProviderError> {
    let nothing = || ProviderError::Refused { code: "never_arrived".to_owned(), seen: None };
    match &job.reference {
        Some(reference) => provider.fetch(reference).await,
        None => provider.find(job.intent).await?.ok_or_else(nothing),
    }
}

async fn capture(provider: &dyn Provider, job: &Job) -> Lesson {
    let Some(reference) = &job.reference else { return lesson(job, None, JobWord::Done) };
    let whole = |seen: &Seen| seen.observation.captured >= job.amount.amount();
    if job.tries > 0 {
        // The same key gets the same answer once more; what became of it since, the intent shows.
        match provider.fetch(reference).await {
            Ok(seen) if whole(&seen) => return lesson(job, Some(seen), JobWord::Done),
            Ok(_) => {}
            Err(error) => return again(job, &error),
        }
    }
    let left = job.amount.amount() - job.taken;
    let Ok(amount) = Money::new(left.max(0), job.amount.currency()) else { return lesson(job, None, JobWord::Done) };
    let take = Take { intent: job.intent, before: job.taken, amount, last: job.last };
    match provider.capture(reference, take).await {
        // Taken on is not taken.
        Ok(seen) => {
            let word = if whole(&seen) { JobWord::Done } else { JobWord::Again };
            lesson(job, Some(seen), word)
        }
        Err(ProviderError::Refused { code, seen }) => {
            tracing::warn!(intent = %job.intent, code, "the provider refuses a capture");
            // Refused perhaps because it was done before: what it shows decides.
            let seen = match seen {
                Some(seen) => Ok(*seen),
                None => provider.fetch(reference).await,
            };
            match seen {
                Ok(seen) => Lesson { capture_refused: !whole(&seen), ..lesson(job, Some(seen), JobWord::Done) },
                Err(error) => again(job, &error),
            }
        }
        Err(error) => again(job, &error),
    }
}

async fn release(provider: &dyn Provider, job: &Job) -> Lesson {
    let Some(reference) = &job.reference else { return lesson(job, None, JobWord::Done) };
    match provider.release(reference, job.intent).await {
        Ok(seen) => lesson(job, Some(seen), JobWord::Done),
        Err(ProviderError::Refused { code, .. }) => {
            // What is left of it ends by itself some days later; nothing hangs on it.
            tracing::info!(intent = %job.intent, code, "the provider releases nothing");
            lesson(job, None, JobWord::Done)
        }
        Err(error) => again(job, &error),
    }
}

async fn cancel(provider: &dyn Provider, job: &Job) -> Lesson {
    let Some(reference) = &job.reference else {
        // An attempt under way may still make the intent there.
        return if job.awaits_answer {
            lesson(job, None, JobWord::Again)
        } else {
            Lesson { facts: vec![Fact::Cancelled], ..lesson(job, None, JobWord::Done) }
        };
    };
    let over = |seen: &Seen| seen.observation.cancelled || seen.observation.captured > 0;
    let until_over = |seen: Seen| {
        let word = if over(&seen) { JobWord::Done } else { JobWord::Again };
        lesson(job, Some(seen), word)
    };
    match provider.cancel(reference, job.intent, job.tries).await {
        Ok(seen) => until_over(seen),
        Err(ProviderError::Refused { code, seen }) => {
            tracing::info!(intent = %job.intent, code, "the provider does not cancel yet");
            let seen = match seen {
                Some(seen) => Ok(*seen),
                None => provider.fetch(reference).await,
            };
            match seen {
                Ok(seen) => until_over(seen),
                Err(error) => again(job, &error),
            }
        }
        Err(error) => again(job, &error),
    }
}

async fn refund(provider: &dyn Provider, context: &Context, job: &Job) -> Lesson {
    let Some(reference) = &job.reference else { return lesson(job, None, JobWord::Done) };
    if key_may_be_forgotten(context, job) {
        // Asking again could give it back twice, so look first.
        match provider.find_refund(reference, job.refund()).await {
            Ok(true) => return refund_ended(provider, job, reference, None).await,
            Ok(false) => {}
            Err(error) => return again(job, &error),
        }
    }
    match provider.refund(reference, job.refund(), job.amount).await {
        Ok(seen) => Lesson { refund: refund_word(job, None), ..lesson(job, Some(seen), JobWord::Done) },
        // Refused perhaps because it was done before: what the provider lists decides.
        Err(ProviderError::Refused { code, .. }) => match provider.find_refund(reference, job.refund()).await {
            Ok(done) => refund_ended(provider, job, reference, (!done).then_some(code)).await,
            Err(error) => again(job, &error),
        },
        Err(error) => again(job, &error),
    }
}

/// A refund whose end is known, with the intent as it is afterwards.
async fn refund_ended(provider: &dyn Provider, job: &Job, reference: &str, failed: Option<String>) -> Lesson {
    match provider.fetch(reference).await {
        Ok(seen) => Lesson { refund: refund_word(job, failed), ..lesson(job, Some(seen), JobWord::Done) },
        Err(error) => again(job, &error),
    }
}

fn refund_word(job: &Job, failed: Option<String>) -> Option<RefundWord> {
    Some(RefundWord { refund: job.refund(), amount: job.amount.amount(), failed })
}

async fn poll(provider: &dyn Provider, job: &Job) -> Lesson {
    let Some(reference) = &job.reference else { return lesson(job, None, JobWord::WhileOpen) };
    match provider.fetch(reference).await {
        Ok(seen) => lesson(job, Some(seen), JobWord::WhileOpen),
        Err(error) => again(job, &error),
    }
}
