//! Room in the component: so many requests at once, some more may wait, and what changes something leaves a share to reads.
//!
//! A command waits for the core, up to 8 s when that hangs; a page comes out of the store in a millisecond. Without a share
//! of their own, reads would stand in line behind commands that wait for nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// One in so many places, in the component and in the line before it, is kept for reads.
const READS_SHARE: u32 = 4;

/// Counts who is in the component and who waits.
pub(crate) struct Room {
    places: Arc<Semaphore>,
    commands: Arc<Semaphore>,
    waiting: AtomicU32,
    queue: u32,
}

/// Nothing became free in time, or too many wait: surely nothing was done.
#[derive(Debug)]
pub(crate) struct NoRoom;

/// A place in the component, until it is dropped.
pub(crate) struct Place {
    _place: OwnedSemaphorePermit,
    _command: Option<OwnedSemaphorePermit>,
}

/// What commands may take of so many: all of one, since there is nothing to share.
fn share_of_commands(all: u32) -> u32 {
    all - all / READS_SHARE
}

fn semaphore(permits: u32) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(usize::try_from(permits).unwrap_or(usize::MAX)))
}

impl Room {
    /// Room for so many requests at once, and a line of so many before it.
    pub(crate) fn new(instances: u32, queue: u32) -> Self {
        Self {
            places: semaphore(instances),
            commands: semaphore(share_of_commands(instances)),
            waiting: AtomicU32::new(0),
            queue,
        }
    }

    /// Places that nobody has.
    pub(crate) fn free(&self) -> u32 {
        u32::try_from(self.places.available_permits()).unwrap_or(u32::MAX)
    }

    /// Requests in the line.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Relaxed)
    }

    /// Takes a place, or waits for one until it is due.
    pub(crate) async fn enter(&self, is_read: bool, due: Instant) -> Result<Place, NoRoom> {
        if let Some(place) = self.enter_at_once(is_read) {
            return Ok(place);
        }
        let queue = if is_read { self.queue } else { share_of_commands(self.queue) };
        let _waiting = Waiting::enter(&self.waiting, queue)?;
        let entered = async {
            let command = if is_read { None } else { Some(Arc::clone(&self.commands).acquire_owned().await?) };
            let place = Arc::clone(&self.places).acquire_owned().await?;
            Ok::<_, AcquireError>(Place { _place: place, _command: command })
        };
        timeout_at(due, entered).await.map_err(|_late| NoRoom)?.map_err(|_closed| NoRoom)
    }

    fn enter_at_once(&self, is_read: bool) -> Option<Place> {
        let command = if is_read { None } else { Some(Arc::clone(&self.commands).try_acquire_owned().ok()?) };
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Place { _place: place, _command: command })
    }
}

/// A request in the line.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a AtomicU32, max: u32) -> Result<Self, NoRoom> {
        waiting.try_update(Relaxed, Relaxed, |count| (count < max).then_some(count + 1)).map_err(|_| NoRoom)?;
        Ok(Self(waiting))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn commands_leave_places_and_the_line_s_end_to_reads() {
        let room = Room::new(4, 4);
        let soon = || Instant::now() + Duration::from_millis(10);
        let mut inside = Vec::new();
        for _ in 0..3 {
            inside.push(room.enter(false, soon()).await.expect("a place for a command"));
        }
        room.enter(false, soon()).await.map(drop).expect_err("no fourth one");
        inside.push(room.enter(true, soon()).await.expect("a place for a read"));
        assert_eq!((room.free(), room.waiting()), (0, 0));
        let later = Instant::now() + Duration::from_secs(60);
        let (first, second, third) = (room.enter(false, later), room.enter(false, later), room.enter(false, later));
        let waiting = async { tokio::join!(first, second, third) };
        tokio::pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        assert_eq!(room.waiting(), 3);
        room.enter(false, later).await.map(drop).expect_err("the rest of the line is for reads");
        let read = room.enter(true, later);
        tokio::pin!(read);
        assert!(futures::poll!(&mut read).is_pending());
        inside.pop();
        read.await.map(drop).expect("the place that a read left");
    }

    #[tokio::test]
    async fn the_only_place_is_everybody_s() {
        let room = Room::new(1, 0);
        room.enter(false, Instant::now()).await.map(drop).expect("a command");
        room.enter(true, Instant::now()).await.map(drop).expect("a read");
    }
}
