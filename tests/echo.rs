//! The echo client, an example of the grammar's crate, against the real server.

#[path = "../src/proto/examples/echo.rs"]
mod echo;
mod support;

use support::Server;

#[test]
fn the_echo_client_repeats_messages_to_the_room_and_in_private() {
    let server = Server::start();
    let (mut alice, mut bob) = (server.join("alice", "lobby"), server.join("bob", "lobby"));
    let address = server.sip.clone();
    let client =
        std::thread::spawn(move || echo::run(&address, "sip:lobby@127.0.0.1").map_err(|error| error.to_string()));
    // Until the client has joined there is nobody of that name.
    let private = alice.wrap("sip:echo@127.0.0.1", "between us");
    while {
        let tid = alice.send("p", "", private.as_bytes());
        alice.response(&tid) == "404"
    } {}
    assert_eq!(alice.text(), "between us");
    alice.say("hello, æøå");
    assert_eq!((bob.text(), bob.text()), ("hello, æøå".to_owned(), "hello, æøå".to_owned()));
    assert_eq!(alice.text(), "hello, æøå");
    drop(server);
    assert!(client.join().is_ok(), "it ends with its connection");
}
