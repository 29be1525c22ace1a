//! The allocations of a delivery (none) and of a call, counted by the allocator.

#[path = "support/counting.rs"]
mod counting;
#[path = "support/desk.rs"]
mod desk;
#[path = "support/plane.rs"]
mod plane;
#[path = "focus/world.rs"]
#[allow(dead_code, reason = "its peers are what is needed")]
mod world;

use counting::allocations;
use desk::Desk;
use plane::Plane;

const MEMBERS: usize = 100;
const MESSAGES: usize = 1000;

fn allocations_per_delivery(room: &mut Plane, size: usize) -> f64 {
    // One block that is read again and again, as a shard reads into one.
    let chunk = room.message(0, size);
    let send = |room: &mut Plane| {
        room.receive(0, &chunk);
        room.flush();
    };
    for _ in 0..10 {
        send(room);
    }
    let (before, deliveries) = (allocations(), room.switch.counters().deliveries);
    for _ in 0..MESSAGES {
        send(room);
    }
    let delivered = room.switch.counters().deliveries - deliveries;
    assert_eq!(delivered, (MEMBERS * MESSAGES) as u64);
    (allocations() - before) as f64 / delivered as f64
}

#[test]
fn a_delivery_allocates_nothing() {
    let mut room = Plane::new(1, MEMBERS + 1);
    // What is copied on arrival goes into a log that is used again; a larger message is a frame: two for all its copies.
    for (size, max) in [(500, 0.0001), (3000, 0.0001), (30_000, 2.0 / MEMBERS as f64 + 0.0001)] {
        let allocations = allocations_per_delivery(&mut room, size);
        println!("{size} octets: {allocations:.4} allocations per delivery to {MEMBERS} members");
        assert!(allocations <= max, "{size} octets: {allocations} a delivery");
    }
    assert!(room.sent > 0);
}

/// More than a call takes now by a tenth. What goes beyond is read or written twice, or kept where it could be borrowed.
const CALL_MAX: f64 = 320.0;

#[test]
fn a_call_allocates_little() {
    const CALLS: u64 = 200;
    for standing in [0, 100] {
        let mut desk = Desk::new(standing, allocations);
        for _ in 0..10 {
            desk.call();
        }
        let each = (0..CALLS).map(|_| desk.call()).sum::<u64>() as f64 / CALLS as f64;
        println!("{each:.1} allocations per call beside {standing}");
        assert!(each > 0.0 && each <= CALL_MAX, "{each} a call beside {standing}");
    }
}
