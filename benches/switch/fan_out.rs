//! A message in, as far as it waits for everybody; beside a push for each recipient. What waits is sent in between, uncounted.

use std::hint::black_box;
use std::rc::Rc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};

use crate::plane::Plane;
use crate::{TEXT, in_batches, print_allocations};

pub fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("take a message to everybody");
    for members in [10, 100, 1000] {
        group.throughput(Throughput::Elements(members));
        group.bench_function(BenchmarkId::new("all attached to the log", members), |b| {
            let mut plane = Plane::new(1, members as usize + 1);
            b.iter_custom(|n| in_batches(n, |batch| take(&mut plane, batch, false)));
        });
        group.bench_function(BenchmarkId::new("all sockets full", members), |b| {
            let mut plane = Plane::new(1, members as usize + 1);
            b.iter_custom(|n| in_batches(n, |batch| take(&mut plane, batch, true)));
        });
        group.bench_function(BenchmarkId::new("floor: a push for each", members), |b| {
            let frame: Rc<[u8]> = Rc::from(&Plane::new(1, 1).message(0, TEXT)[..]);
            let mut outboxes: Vec<Vec<Rc<[u8]>>> = vec![Vec::new(); members as usize];
            b.iter_custom(|n| in_batches(n, |batch| push(&mut outboxes, &frame, batch)));
        });
        for stuck in [false, true] {
            let mut plane = Plane::new(1, members as usize + 1);
            let who = if stuck { "behind full sockets" } else { "attached to the log" };
            print_allocations(&format!("a delivery, sent, of {members} {who}"), 64 * members, || {
                take(&mut plane, 64, stuck);
            });
        }
    }
}

fn take(plane: &mut Plane, batch: u64, stuck: bool) -> Duration {
    let message = plane.message(0, TEXT);
    if stuck {
        for seat in &plane.seats[1..] {
            plane.switch.blocked(seat.connection, plane.now);
        }
    }
    let begun = Instant::now();
    for _ in 0..batch {
        plane.receive(0, &message);
    }
    let took = begun.elapsed();
    if stuck {
        // The kernel takes again.
        for seat in 1..plane.seats.len() {
            plane.switch.sent(plane.seats[seat].connection, 0, plane.now);
        }
    }
    plane.flush();
    took
}

fn push(outboxes: &mut [Vec<Rc<[u8]>>], frame: &Rc<[u8]>, batch: u64) -> Duration {
    let begun = Instant::now();
    for _ in 0..batch {
        for outbox in &mut *outboxes {
            outbox.push(frame.clone());
        }
    }
    let took = begun.elapsed();
    outboxes.iter_mut().for_each(|outbox| black_box(outbox).clear());
    took
}
