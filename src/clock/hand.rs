//! The hand of a broker's clock, for tests: it can be stopped, let go, and
//! moved ahead. Nothing happens here when a time comes; what waits for one is
//! told, and [who moves it](crate::engine::advance) sees to it that it happens
//! in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::machine::{Machine, bounded};

/// The clock ends here, in some 36 million years: milliseconds are to have room
/// for what is added to them.
pub const END: Duration = Duration::from_millis(1 << 60);

/// The hand of a clock.
#[derive(Debug)]
pub struct Hand {
    machine: Machine,
    // Taken last, and held for a few lines.
    time: Mutex<Time>,
    /// Tells who moves it that an alarm has gone.
    heard: Notify,
}

#[derive(Default, Debug)]
struct Time {
    /// `None` until it is touched.
    set: Option<Set>,
    /// It has been frozen, and stands whenever nobody moves it.
    frozen: bool,
    /// It is being moved, and stands meanwhile.
    moving: bool,
    /// What waits for a time, in order.
    alarms: BTreeMap<Key, Waiting>,
    next: u64,
}

/// The deadline, and a number that is never used again.
type Key = (Duration, u64);

#[derive(Debug)]
struct Waiting {
    client: Option<u64>,
    waker: Option<Waker>,
}

/// Where it was put.
#[derive(Clone, Copy, Debug)]
struct Set {
    uptime: Duration,
    wall: Duration,
    /// Since when it has gone on from there, by the machine; `None` if it
    /// stands.
    since: Option<Duration>,
}

impl Set {
    /// What has passed since then.
    fn passed(&self, machine: Duration) -> Duration {
        let since = self.since.map(|since| machine.saturating_sub(since));
        since.unwrap_or_default()
    }
}

impl Time {
    /// What the uptime is when it is so late by the machine. It is never less
    /// than before, even for who has looked at that before somebody touched the
    /// hand.
    fn uptime(&self, machine: Duration) -> Duration {
        match &self.set {
            None => machine,
            Some(set) => set.uptime + set.passed(machine),
        }
    }

    fn wall(&self, machine: Machine) -> Duration {
        match &self.set {
            None => machine.wall(),
            Some(set) => set.wall + set.passed(machine.uptime()),
        }
    }

    /// Has it stand where it is: where the next millisecond begins, so that what
    /// is dated in milliseconds has passed when as many have.
    fn stop(&mut self, machine: Machine) {
        self.set = Some(Set {
            uptime: whole_ms(self.uptime(machine.uptime())),
            wall: whole_ms(self.wall(machine)),
            since: None,
        });
    }

    /// Has it go on if nothing keeps it.
    fn go(&mut self, machine: Machine) {
        if let Some(set) = &mut self.set
            && set.since.is_none()
            && !self.frozen
            && !self.moving
        {
            set.since = Some(machine.uptime());
        }
    }

    fn stands(&self) -> bool {
        self.set.is_some_and(|set| set.since.is_none())
    }

    fn first_alarm(&self) -> Option<(Duration, u64)> {
        let mut alarms = self.alarms.iter();
        alarms.find_map(|((at, _), waiting)| Some((*at, waiting.client?)))
    }

    /// The wakers of all, or of those whose time has come, who are to look
    /// again.
    fn wakers(&self, until: Option<Duration>) -> Vec<Waker> {
        let alarms = self.alarms.iter();
        let due = alarms.take_while(|((at, _), _)| until.is_none_or(|until| *at <= until));
        due.filter_map(|(_, waiting)| waiting.waker.clone())
            .collect()
    }
}

/// Rounded up.
fn whole_ms(time: Duration) -> Duration {
    const MS: u32 = 1_000_000;
    let over = time.subsec_nanos() % MS;
    match over {
        0 => time,
        over => time + Duration::from_nanos((MS - over).into()),
    }
}

impl Hand {
    pub(super) fn new(machine: Machine) -> Hand {
        Hand {
            machine,
            time: Mutex::default(),
            heard: Notify::new(),
        }
    }

    /// Since 1970.
    pub fn wall(&self) -> Duration {
        self.time.lock().wall(self.machine)
    }

    pub(super) fn uptime_at(&self, machine: Duration) -> Duration {
        self.time.lock().uptime(machine)
    }

    /// Whether it stands, if only while it is moved.
    pub(super) fn stands(&self) -> bool {
        self.time.lock().stands()
    }

    /// Whether it has been frozen.
    pub fn is_frozen(&self) -> bool {
        self.time.lock().frozen
    }

    /// Has it stand, or go on from where it stands.
    pub fn freeze(&self, frozen: bool) {
        self.touch(|time, machine| {
            time.frozen = frozen;
            match frozen {
                true => time.stop(machine),
                false => time.go(machine),
            }
        });
    }

    /// Has it stand while it is moved, or no longer.
    pub fn set_moving(&self, moving: bool) {
        self.touch(|time, machine| {
            time.moving = moving;
            match moving {
                true => time.stop(machine),
                false => time.go(machine),
            }
        });
    }

    /// Changes it, and has all who wait look at it anew.
    fn touch(&self, change: impl FnOnce(&mut Time, Machine)) {
        let mut time = self.time.lock();
        change(&mut time, self.machine);
        let wakers = time.wakers(None);
        drop(time);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Moves it ahead, so that it is so late since the broker's start. It is
    /// being moved, and so it stands. Answers whether a client's time has come,
    /// who may hear of it before anybody [rings](Self::ring).
    pub fn move_to(&self, uptime: Duration) -> bool {
        let mut time = self.time.lock();
        if let Some(set) = &mut time.set {
            set.wall += uptime.saturating_sub(set.uptime);
            set.uptime = uptime.max(set.uptime);
        }
        time.first_alarm().is_some_and(|(at, _)| at <= uptime)
    }

    /// Moves it ahead with nobody there for whom anything could fall due.
    pub fn skip_to(&self, uptime: Duration) {
        self.set_moving(true);
        let now = self.uptime_at(self.machine.uptime());
        let left = END.saturating_sub(self.wall());
        self.move_to(uptime.min(now + left));
        self.set_moving(false);
    }

    /// Tells those whose time has come, and waits until all clients among them
    /// have heard.
    pub async fn ring(&self) {
        let now = self.uptime_at(self.machine.uptime());
        let wakers = self.time.lock().wakers(Some(now));
        wakers.into_iter().for_each(Waker::wake);
        while self.first_alarm().is_some_and(|(at, _)| at <= now) {
            // One that goes in between is remembered.
            self.heard.notified().await;
        }
    }

    /// Sets the wall clock, as somebody may set the machine's: who waits for so
    /// long waits on, and nobody is told.
    pub fn set_wall(&self, wall: Duration) {
        let mut time = self.time.lock();
        let machine = self.machine.uptime();
        time.set = Some(Set {
            uptime: time.uptime(machine),
            wall,
            since: (!time.stands()).then_some(machine),
        });
    }

    /// For what waits for a time.
    pub(super) fn alarm(self: &Arc<Self>, deadline: Duration, client: Option<u64>) -> Alarm {
        let mut time = self.time.lock();
        let key = (deadline, time.next);
        time.next += 1;
        let waker = None;
        time.alarms.insert(key, Waiting { client, waker });
        drop(time);
        Alarm {
            hand: self.clone(),
            key,
        }
    }

    /// When the first client's time is up, and who that is.
    pub fn first_alarm(&self) -> Option<(Duration, u64)> {
        self.time.lock().first_alarm()
    }
}

/// That somebody waits for a time. It goes with what waits.
#[derive(Debug)]
pub struct Alarm {
    hand: Arc<Hand>,
    key: Key,
}

impl Alarm {
    /// Whom to wake.
    pub(super) fn set_waker(&self, waker: &Waker) {
        let mut time = self.hand.time.lock();
        let waiting = time.alarms.get_mut(&self.key);
        let old = waiting.and_then(|waiting| waiting.waker.replace(waker.clone()));
        // A task may go with its last waker, and an alarm with the task.
        drop(time);
        drop(old);
    }

    /// When its time comes if nobody touches the hand; `None` if it stands
    /// before that.
    pub(super) fn rings_at(&self) -> Option<Instant> {
        let (deadline, _) = self.key;
        let time = self.hand.time.lock();
        let machine = self.hand.machine.uptime();
        let left = deadline.saturating_sub(time.uptime(machine));
        let rings = left.is_zero() || !time.stands();
        rings.then(|| self.hand.machine.moment(machine + bounded(left)))
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let waiting = self.hand.time.lock().alarms.remove(&self.key);
        // The lock has been released, as with an old waker.
        drop(waiting);
        self.hand.heard.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::task::Wake;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn hand() -> Arc<Hand> {
        Arc::new(Hand::new(Machine::start()))
    }

    fn uptime(hand: &Hand) -> Duration {
        hand.uptime_at(hand.machine.uptime())
    }

    #[test]
    fn it_goes_as_the_machine_until_it_is_touched() {
        let hand = hand();
        assert_eq!(hand.uptime_at(HOUR), HOUR);
        let machine = hand.machine.wall();
        assert!(hand.wall().abs_diff(machine) < HOUR, "{machine:?}");
    }

    #[test]
    fn it_never_runs_backwards_for_who_has_looked_before() {
        let hand = hand();
        let before = hand.machine.uptime();
        hand.set_moving(true);
        let stood = uptime(&hand);
        hand.move_to(stood + HOUR);
        assert_eq!(hand.uptime_at(before), stood + HOUR);
        hand.set_moving(false);
        assert!(hand.uptime_at(before) >= stood + HOUR);
        hand.freeze(true);
        let stood = uptime(&hand);
        assert_eq!(hand.uptime_at(before), stood);
        // A move to what is over moves nothing.
        hand.move_to(Duration::ZERO);
        assert_eq!(uptime(&hand), stood);
        hand.set_wall(HOUR);
        assert_eq!((hand.wall(), uptime(&hand)), (HOUR, stood));
    }

    #[test]
    fn it_stands_at_a_whole_millisecond() {
        let hand = hand();
        hand.freeze(true);
        for time in [hand.wall(), uptime(&hand)] {
            assert_eq!(time.subsec_nanos() % 1_000_000, 0, "{time:?}");
        }
    }

    #[test]
    fn who_has_frozen_it_finds_it_standing_after_a_move() {
        let hand = hand();
        for frozen in [true, false] {
            hand.freeze(frozen);
            hand.set_moving(true);
            assert!(hand.stands());
            hand.set_moving(false);
            assert_eq!((hand.stands(), hand.is_frozen()), (frozen, frozen));
        }
        // It may be frozen and resumed while it is moved.
        hand.set_moving(true);
        hand.freeze(true);
        hand.freeze(false);
        assert!(hand.stands());
        hand.freeze(true);
        hand.set_moving(false);
        assert!(hand.stands());
    }

    /// Says its number.
    struct Rings(u64, Sender<u64>);

    impl Wake for Rings {
        fn wake(self: Arc<Self>) {
            self.1.send(self.0).unwrap();
        }
    }

    #[tokio::test]
    async fn those_are_told_whose_time_has_come_in_the_order_of_their_times() {
        let hand = hand();
        hand.freeze(true);
        let start = uptime(&hand);
        let (said, heard) = channel();
        let mut alarms: Vec<_> = [3, 1, 2, 9]
            .into_iter()
            .map(|hours| {
                let alarm = hand.alarm(start + hours * HOUR, Some(hours.into()));
                alarm.set_waker(&Arc::new(Rings(hours.into(), said.clone())).into());
                alarm
            })
            .collect();
        // One that is nobody's is no reason to wait.
        let own = hand.alarm(start + HOUR / 2, None);
        own.set_waker(&Arc::new(Rings(0, said)).into());
        assert_eq!(hand.first_alarm(), Some((start + HOUR, 1)));
        assert!(!hand.move_to(start + HOUR / 2), "no client's time");
        assert!(hand.move_to(start + 3 * HOUR));
        // They hear it, and go.
        let last = alarms.pop().unwrap();
        tokio::join!(hand.ring(), async { drop(alarms) });
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert!(last.rings_at().is_none(), "it stands before that");
        hand.ring().await;
        hand.freeze(false);
        assert!(last.rings_at().is_some(), "it goes on");
    }
}
