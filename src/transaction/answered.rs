//! Server transactions after their final response. Of each only the response is kept, for as long as the request or its ACK may be
//! retransmitted (RFC 3261 §17.2, RFC 6026 §7.1).

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use sipx_sip::{Timer, Timers};

use super::key::TransactionId;
use super::output::TransactionOutput;
use crate::shares::{Claim, Holder, Reach, Share, Shares};
use parlor_proto::sip::Hop;

/// Octets of an answered transaction beside its response: its entries in two tables, those of its timer in two others, and those of
/// the detection of merged requests. A call over UDP was measured at 1.2 kB in total.
pub const ANSWERED_BYTES: usize = 384;
/// Octets of a refused INVITE beside [`ANSWERED_BYTES`]: its hop and another timer.
pub const REFUSED_BYTES: usize = 256;

/// One server transaction: Accepted after a 2xx to an INVITE, else Completed or Confirmed.
#[derive(Debug)]
struct Answered {
    /// The response for retransmissions of the request. `None` for a 2xx to an INVITE, which the focus retransmits itself, and after
    /// the ACK of a refusal.
    response: Option<Bytes>,
    /// Set for an INVITE that was refused over UDP.
    refused: Option<Box<Refused>>,
    source: IpAddr,
    reach: Reach,
}

/// A refusal that is retransmitted until its ACK arrives (RFC 3261 §17.2.1).
#[derive(Debug)]
struct Refused {
    hop: Hop,
    /// The last interval of Timer G.
    interval: Duration,
    acknowledged: bool,
}

impl Answered {
    /// What is charged to its source.
    fn share(&self) -> Share {
        let refused = self.refused.as_ref().map_or(0, |_| REFUSED_BYTES);
        let amount = ANSWERED_BYTES + refused + self.response.as_ref().map_or(0, Bytes::len);
        Share { claim: Claim::at(self.source, self.reach), amount }
    }
}

/// All answered server transactions.
#[derive(Debug, Default)]
pub struct AnsweredTransactions {
    by_id: HashMap<TransactionId, Answered>,
}

impl AnsweredTransactions {
    /// The number of transactions.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether a transaction is among them.
    pub fn contains(&self, id: &TransactionId) -> bool {
        self.by_id.contains_key(id)
    }

    /// The response for a retransmission of the request; `Some(None)`: there is none.
    pub fn response(&self, id: &TransactionId) -> Option<Option<&Bytes>> {
        self.by_id.get(id).map(|answered| answered.response.as_ref())
    }

    /// Keeps an accepted INVITE until Timer L.
    pub fn insert_accepted(
        &mut self,
        id: &TransactionId,
        claim: &Claim,
        shares: &mut Shares,
        outputs: &mut VecDeque<TransactionOutput>,
    ) {
        self.insert(id, claim, None, None, shares);
        outputs.push_back(set_timer(id, Timer::L, 64 * Timers::default().t1));
    }

    /// Keeps the response to a request over UDP until Timer J; that of an INVITE refused over `refused_over` until its ACK or Timer H.
    pub fn insert_response(
        &mut self,
        id: &TransactionId,
        claim: &Claim,
        response: Bytes,
        refused_over: Option<Hop>,
        shares: &mut Shares,
        outputs: &mut VecDeque<TransactionOutput>,
    ) {
        let interval = Timers::default().t1;
        let refused = refused_over.map(|hop| Box::new(Refused { hop, interval, acknowledged: false }));
        let timer = if refused.is_some() { Timer::H } else { Timer::J };
        self.insert(id, claim, Some(response), refused, shares);
        outputs.push_back(set_timer(id, timer, 64 * interval));
        if timer == Timer::H {
            outputs.push_back(set_timer(id, Timer::G, interval));
        }
    }

    fn insert(
        &mut self,
        id: &TransactionId,
        claim: &Claim,
        response: Option<Bytes>,
        refused: Option<Box<Refused>>,
        shares: &mut Shares,
    ) {
        let Holder::Network(source) = claim.holder else { return };
        let answered = Answered { response, refused, source, reach: claim.reach };
        let Share { claim, amount } = answered.share();
        let _ = shares.take(&claim, amount);
        self.by_id.insert(id.clone(), answered);
    }

    /// Removes a transaction after its last timer. Returns whether it was there.
    pub fn remove(
        &mut self,
        id: &TransactionId,
        shares: &mut Shares,
        outputs: &mut VecDeque<TransactionOutput>,
    ) -> bool {
        let Some(answered) = self.by_id.remove(id) else { return false };
        shares.give_back(answered.share());
        shrink(&mut self.by_id);
        if answered.refused.is_some() {
            outputs.push_back(TransactionOutput::ClearTimer { id: id.clone(), timer: Timer::G });
        }
        true
    }

    /// Timer G: retransmits a refusal without ACK, at intervals that double up to T2.
    pub fn retransmit_refusal(&mut self, id: &TransactionId, outputs: &mut VecDeque<TransactionOutput>) {
        let Some(answered) = self.by_id.get_mut(id) else { return };
        let (Some(refused), Some(message)) = (&mut answered.refused, answered.response.clone()) else { return };
        refused.interval = (2 * refused.interval).min(Timers::default().t2);
        let (hop, after) = (refused.hop, refused.interval);
        outputs.push_back(TransactionOutput::Send { hop, message });
        outputs.push_back(set_timer(id, Timer::G, after));
    }

    /// Handles the ACK of a refusal: its INVITE is absorbed until Timer I. Returns whether there is such a refusal.
    pub fn acknowledge(
        &mut self,
        id: &TransactionId,
        shares: &mut Shares,
        outputs: &mut VecDeque<TransactionOutput>,
    ) -> bool {
        let Some(answered) = self.by_id.get_mut(id) else { return false };
        let before = answered.share();
        let Some(refused) = answered.refused.as_mut() else { return false };
        if !std::mem::replace(&mut refused.acknowledged, true) {
            answered.response = None;
            shares.give_back(before);
            let Share { claim, amount } = answered.share();
            let _ = shares.take(&claim, amount);
            let clear = |timer| TransactionOutput::ClearTimer { id: id.clone(), timer };
            outputs.extend([Timer::G, Timer::H].map(clear));
            outputs.push_back(set_timer(id, Timer::I, Timers::default().t4));
        }
        true
    }
}

fn set_timer(id: &TransactionId, timer: Timer, after: Duration) -> TransactionOutput {
    TransactionOutput::SetTimer { id: id.clone(), timer, after }
}

/// Returns memory after a burst.
fn shrink<T>(table: &mut HashMap<TransactionId, T>) {
    if table.capacity() > 4096 && table.len() < table.capacity() / 8 {
        table.shrink_to(2 * table.len());
    }
}
