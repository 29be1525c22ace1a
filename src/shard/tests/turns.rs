//! More connections speak than a shard has buffers at first: none of them waits for long.

use std::io::ErrorKind;

use super::*;

on_both!(who_speaks_as_much_gets_on_as_fast);

const SENDERS: usize = 150;

/// Each sends its next message when the one before was answered. Nobody else is in its room, so nothing else comes.
fn who_speaks_as_much_gets_on_as_fast(io: Io) {
    let mut running = run(io);
    let mut clients: Vec<_> = (0..SENDERS).map(|n| join_alone(&mut running, n)).collect();
    clients.iter_mut().for_each(|client| client.say("x", "tid00000", "hello"));
    let mut answered = [0; SENDERS];
    let mut read = vec![0; SENDERS];
    while answered.iter().sum::<usize>() < SENDERS * 40 {
        for (n, client) in clients.iter_mut().enumerate() {
            let mut octets = [0; 1024];
            match client.stream.read(&mut octets) {
                Ok(0) => panic!("{n} was hung up on"),
                Ok(len) => read[n] += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => panic!("{error}"),
            }
            let answer = answer_len(client);
            assert!(read[n] <= answer);
            if read[n] == answer {
                read[n] = 0;
                answered[n] += 1;
                client.say("x", "tid00000", "hello");
            }
        }
    }
    let (least, most) = (answered.iter().min().unwrap(), answered.iter().max().unwrap());
    assert!(most <= &(3 * least), "{least} to {most}: {answered:?}");
}

fn join_alone(running: &mut Running, n: usize) -> Client {
    let room = 2 + n as u64;
    running.open_room(room);
    let client = running.join_room(room, "x", 1 + n as u128);
    client.stream.set_nonblocking(true).unwrap();
    client
}

fn answer_len(client: &Client) -> usize {
    let Client { local, remote, .. } = client;
    format!("MSRP tid00000 200 OK\r\nTo-Path: {remote}\r\nFrom-Path: {local}\r\n-------tid00000$\r\n").len()
}
