//! How busy the shard is, for the focus.

use std::time::{Duration, Instant};

use super::state::Switch;
use super::timer::Timer;
use crate::facts::Event;

/// How often the load is reported to the focus at most.
const LOAD_INTERVAL: Duration = Duration::from_secs(1);

impl Switch {
    /// Reports the load to the focus: once a second while something is delivered, and once more when that has ended.
    pub(super) fn report_load(&mut self, now: Instant) {
        self.reported_load.timer = false;
        let deliveries = self.egress.counters.deliveries;
        let since = deliveries - std::mem::replace(&mut self.reported_load.deliveries, deliveries);
        self.push_event(Event::Load { deliveries_per_second: since });
        if since > 0 {
            self.start_load_timer(now);
        }
    }

    /// Sees to it that the load is reported within the second.
    pub(super) fn start_load_timer(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.reported_load.timer, true) {
            self.timers.set_earliest(Timer::Load, now + LOAD_INTERVAL);
        }
    }
}
