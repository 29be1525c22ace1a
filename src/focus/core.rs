//! What every procedure needs: the transactions, the timers, what is to be done next, and randomness.

use std::collections::VecDeque;
use std::hash::Hasher;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use siphasher::sip::SipHasher13;

use crate::facts::{Command, Terms};
use crate::focus::change::Change;
use crate::focus::hosts::Hosts;
use crate::focus::output::Output;
use crate::focus::outputs::Outputs;
use crate::focus::settings::Settings;
use crate::focus::timer::Timer;
use crate::ids::{SessionId, ShardId};
use crate::timers::Timers;
use crate::transaction::{TransactionOutput, Transactions};
use parlor_proto::sip::{HeaderName, Headers, Hop, TopVia};

/// The part of the focus that knows no call, no room and no subscription.
#[derive(Debug)]
pub struct Core {
    pub settings: Settings,
    pub hosts: Hosts,
    pub transactions: Transactions,
    pub timers: Timers<Timer>,
    /// What follows from the input at hand and is still to be carried out.
    pub changes: VecDeque<Change>,
    pub outputs: Outputs,
    /// A moment, and the time since 1970 at that moment.
    pub clock_anchor: Option<(Instant, Duration)>,
    /// Keys of the hashes that are made of what a peer has sent, so that it cannot foresee them.
    pub tag_keys: (u64, u64),
    rng: ChaCha20Rng,
}

impl Core {
    /// Everything that must not be guessed is made with `rng`.
    pub fn new(settings: Settings, mut rng: ChaCha20Rng) -> Self {
        let tag_keys = (rng.next_u64(), rng.next_u64());
        let mut transactions = Transactions::new((rng.next_u64(), rng.next_u64()));
        transactions.set_max_bytes(settings.transaction_bytes_max);
        Self {
            hosts: Hosts::new(&settings),
            transactions,
            timers: Timers::default(),
            changes: VecDeque::new(),
            outputs: Outputs::default(),
            clock_anchor: None,
            tag_keys,
            rng,
            settings,
        }
    }

    pub fn send(&mut self, hop: Hop, message: Bytes) {
        self.outputs.push(Output::Send { hop, message });
    }

    pub fn command(&mut self, shard: ShardId, command: Command) {
        self.outputs.push(Output::Command { shard, command });
    }

    /// Puts other terms in force for a session. What this input still sends leaves when the shard knows them.
    pub fn change_session(&mut self, shard: ShardId, session: SessionId, terms: Terms) {
        self.command(shard, Command::ChangeSession { session, terms: Box::new(terms) });
        self.outputs.hold_messages(session);
    }

    /// Carries out what the transactions want, at the end of an input.
    pub fn finish(&mut self, now: Instant) {
        while let Some(output) = self.transactions.poll_output() {
            match output {
                TransactionOutput::Send { hop, message } => self.send(hop, message),
                TransactionOutput::SetTimer { id, timer, after } => {
                    self.timers.set(Timer::Transaction(id, timer), now + after);
                }
                TransactionOutput::ClearTimer { id, timer } => self.timers.clear(&Timer::Transaction(id, timer)),
            }
        }
        self.outputs.end_input();
    }

    /// A tag that a request sent again gets again (RFC 3261 §8.2.7).
    pub fn stateless_tag(&self, headers: &Headers) -> String {
        let mut hasher = SipHasher13::new_with_keys(self.tag_keys.0, self.tag_keys.1);
        hasher.write(&headers.value(&HeaderName::CallId).unwrap_or_default());
        hasher.write(TopVia::of(headers).as_ref().and_then(TopVia::branch).unwrap_or_default());
        format!("{:016x}", hasher.finish())
    }

    pub fn random(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// A random key.
    pub fn random_key(&mut self) -> [u8; 32] {
        let mut key = [0; 32];
        self.rng.fill_bytes(&mut key);
        key
    }

    /// A new branch for a request of ours (RFC 3261 §8.1.1.7).
    pub fn branch(&mut self) -> String {
        format!("z9hG4bK{:016x}", self.random())
    }

    pub fn new_session_id(&mut self, shard: ShardId) -> SessionId {
        let random = u128::from(self.random()) << 64 | u128::from(self.random());
        SessionId { shard, random }
    }
}
