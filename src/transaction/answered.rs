//! Server transactions that have their final response: little is kept of them, for as long as their request or its ACK may come
//! (RFC 3261 §17.2, RFC 6026 §7.1).

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use sipx_sip::{Timer, Timers};

use super::{TransactionId, TransactionOutput, Transactions};
use crate::shares::{Claim, Holder, Reach, Share};
use parlor_proto::sip::Hop;

/// A server transaction that has its final response: Accepted for a 2xx to an INVITE, and else Completed or Confirmed.
#[derive(Debug)]
pub(super) struct Answered {
    /// What is sent again when the request comes again; `None` for a 2xx to an INVITE, which the focus sends again, and after the ACK
    /// of a refusal.
    pub(super) response: Option<Bytes>,
    /// It is of an INVITE that was refused over datagrams.
    refused: Option<Box<Refused>>,
    source: IpAddr,
    reach: Reach,
}

/// A refusal that is sent again until its ACK comes (RFC 3261 §17.2.1).
#[derive(Debug)]
struct Refused {
    hop: Hop,
    /// What Timer G has been set to last.
    interval: Duration,
    acknowledged: bool,
}

impl Answered {
    /// What it is charged with.
    fn share(&self) -> Share {
        let refused = self.refused.as_ref().map_or(0, |_| REFUSED_BYTES);
        let amount = ANSWERED_BYTES + refused + self.response.as_ref().map_or(0, Bytes::len);
        Share { claim: Claim::at(self.source, self.reach), amount }
    }
}

/// Octets that an answered transaction takes beside its response: its places in two tables, its timer's in two others, and those of
/// what its request is merged by. A call over UDP was measured to take 1.2 kB in all.
pub(super) const ANSWERED_BYTES: usize = 384;
/// Octets that a refused INVITE takes beside that: its hop, and another timer.
pub(super) const REFUSED_BYTES: usize = 256;
impl Transactions {
    /// An INVITE was accepted: it is absorbed until Timer L.
    pub(super) fn keep_accepted(&mut self, id: &TransactionId, claim: &Claim) {
        self.keep(id, claim, None, None, Timer::L);
    }

    /// A request over datagrams was answered: it is answered again until Timer J, or, where it is an INVITE that was refused over
    /// this hop, until its ACK comes or Timer H.
    pub(super) fn keep_answer(
        &mut self,
        id: &TransactionId,
        claim: &Claim,
        response: Bytes,
        refused_over: Option<Hop>,
    ) {
        let interval = Self::t1();
        let refused = refused_over.map(|hop| Box::new(Refused { hop, interval, acknowledged: false }));
        let timer = if refused.is_some() { Timer::H } else { Timer::J };
        self.keep(id, claim, Some(response), refused, timer);
        if timer == Timer::H {
            let again = TransactionOutput::SetTimer { id: id.clone(), timer: Timer::G, after: interval };
            self.outputs.push_back(again);
        }
    }

    fn keep(
        &mut self,
        id: &TransactionId,
        claim: &Claim,
        response: Option<Bytes>,
        refused: Option<Box<Refused>>,
        timer: Timer,
    ) {
        let Holder::Network(source) = claim.holder else { return };
        let answered = Answered { response, refused, source, reach: claim.reach };
        let Share { claim, amount } = answered.share();
        let _ = self.shares.take(&claim, amount);
        self.servers += 1;
        self.answered.insert(id.clone(), answered);
        let after = 64 * Self::t1();
        self.outputs.push_back(TransactionOutput::SetTimer { id: id.clone(), timer, after });
    }

    /// Its time is over. `false`: there is none.
    pub(super) fn forget_answered(&mut self, id: &TransactionId) -> bool {
        let Some(answered) = self.answered.remove(id) else { return false };
        self.servers -= 1;
        self.shares.give_back(answered.share());
        shrink(&mut self.answered);
        if answered.refused.is_some() {
            self.outputs.push_back(TransactionOutput::ClearTimer { id: id.clone(), timer: Timer::G });
        }
        true
    }

    /// Timer G: a refusal without its ACK goes out again, at intervals that double up to T2.
    pub(super) fn refuse_again(&mut self, id: &TransactionId) {
        let Some(answered) = self.answered.get_mut(id) else { return };
        let (Some(refused), Some(message)) = (&mut answered.refused, answered.response.clone()) else { return };
        refused.interval = (2 * refused.interval).min(Self::t2());
        let (hop, after) = (refused.hop, refused.interval);
        self.outputs.push_back(TransactionOutput::Send { hop, message });
        self.outputs.push_back(TransactionOutput::SetTimer { id: id.clone(), timer: Timer::G, after });
    }

    /// The ACK of a refusal has come: what comes of that INVITE now is absorbed until Timer I. `false`: there is no such refusal.
    pub(super) fn acknowledge(&mut self, id: &TransactionId) -> bool {
        let Some(answered) = self.answered.get_mut(id) else { return false };
        let before = answered.share();
        let Some(refused) = answered.refused.as_mut() else { return false };
        if !std::mem::replace(&mut refused.acknowledged, true) {
            answered.response = None;
            self.shares.give_back(before);
            let _ = self.shares.take(&answered.share().claim, answered.share().amount);
            let clear = |timer| TransactionOutput::ClearTimer { id: id.clone(), timer };
            self.outputs.extend([Timer::G, Timer::H].map(clear));
            let after = Timers::default().t4;
            self.outputs.push_back(TransactionOutput::SetTimer { id: id.clone(), timer: Timer::I, after });
        }
        true
    }
}

/// Gives memory back after a rush.
fn shrink<T>(table: &mut HashMap<TransactionId, T>) {
    if table.capacity() > 4096 && table.len() < table.capacity() / 8 {
        table.shrink_to(2 * table.len());
    }
}
