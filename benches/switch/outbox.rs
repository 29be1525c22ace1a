//! What waits, out into one hot buffer for each connection, beside a copy of as many octets. Taking it in is not counted.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use parlor::ids::ConnectionId;

use crate::plane::{Plane, Scratch};
use crate::{IN_FLIGHT, TEXT};

pub fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("send what waits");
    for (members, in_flight) in [(100, 1), (100, IN_FLIGHT), (1000, IN_FLIGHT)] {
        let what = format!("{in_flight} for each of {members}");
        let mut drain = Drain::new(members);
        drain.round(in_flight);
        group.throughput(Throughput::Elements(members as u64));
        let octets = drain.octets / members;
        group.bench_function(BenchmarkId::new("outboxes", &what), |b| {
            b.iter_custom(|n| (0..n).map(|_| drain.round(in_flight)).sum());
        });
        group.bench_function(BenchmarkId::new("floor: a copy of the same octets", &what), |b| {
            let (source, mut scratch) = (vec![b'x'; octets], Vec::with_capacity(octets));
            b.iter(|| {
                for _ in 0..members {
                    scratch.clear();
                    scratch.extend_from_slice(black_box(&source));
                    black_box(&mut scratch);
                }
            });
        });
    }
}

struct Drain {
    plane: Plane,
    dirty: Vec<ConnectionId>,
    scratch: Scratch,
    /// Octets of the last round.
    octets: usize,
}

impl Drain {
    fn new(members: usize) -> Self {
        let plane = Plane::new(1, members + 1);
        Self { plane, dirty: Vec::new(), scratch: Scratch::default(), octets: 0 }
    }

    /// Lets so many messages wait, and answers how long it takes to send them all.
    fn round(&mut self, messages: u64) -> Duration {
        let message = self.plane.message(0, TEXT);
        for _ in 0..messages {
            self.plane.receive(0, &message);
        }
        let Self { plane, dirty, scratch, octets } = self;
        let begun = Instant::now();
        *octets = 0;
        plane.switch.take_dirty(dirty);
        for id in dirty.drain(..) {
            scratch.0.clear();
            let n = plane.switch.gather(id, scratch, usize::MAX);
            black_box(&mut scratch.0);
            plane.switch.sent(id, n, plane.now);
            *octets += n;
        }
        begun.elapsed()
    }
}
