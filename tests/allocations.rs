//! What a delivery allocates: nothing, over many. Counted by the allocator itself.

#[path = "support/counting.rs"]
mod counting;
#[path = "support/plane.rs"]
mod plane;

use counting::allocations;
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
