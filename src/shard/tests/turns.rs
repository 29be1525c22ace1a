//! More connections speak than a shard has buffers at first: none of them waits for long.

use std::io::ErrorKind;

use super::*;
use crate::limits::RECEIVE_BUFFERS_MIN;

on_each!(who_speaks_as_much_gets_on_as_fast);

const SENDERS: usize = 150;
const _: () = assert!(SENDERS > 2 * RECEIVE_BUFFERS_MIN as usize);
/// Messages of each that are not answered: there is always something to read.
const WINDOW: usize = 8;

/// Each sends a message more when one was answered. Nobody else is in its room, so nothing else comes.
fn who_speaks_as_much_gets_on_as_fast(io: Io) {
    let mut running = run(io);
    let mut clients: Vec<_> = (0..SENDERS).map(|n| join_alone(&mut running, n)).collect();
    for client in &mut clients {
        (0..WINDOW).for_each(|_| client.say("x", "tid00000", "hello"));
    }
    let mut read = [0; SENDERS];
    let mut answered = [0; SENDERS];
    while answered.iter().sum::<usize>() < SENDERS * 40 {
        for (n, client) in clients.iter_mut().enumerate() {
            read[n] += read_some(&mut client.stream);
            while answered[n] < read[n] / answer_len(client) {
                answered[n] += 1;
                client.say("x", "tid00000", "hello");
            }
        }
    }
    let (least, most) = (answered.iter().min().unwrap(), answered.iter().max().unwrap());
    assert!(most <= &(2 * least), "{least} to {most}: {answered:?}");
}

fn read_some(stream: &mut TcpStream) -> usize {
    match stream.read(&mut [0; 4096]) {
        Ok(0) => panic!("somebody was hung up on"),
        Ok(len) => len,
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        Err(error) => panic!("{error}"),
    }
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
