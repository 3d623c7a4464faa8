//! A payment at the provider: what is true of it, whoever has heard of it.

use bodega_domain::{
    money::Currency,
    payment::{AttemptView, Observation},
};

/// Names of attempts at the provider, by their number.
pub(crate) const REFERENCES: [&str; 5] = ["none", "first", "second", "third", "fourth"];

/// Where a payment stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Stage {
    /// Nobody has asked for it.
    #[default]
    Nothing,
    /// The card is being asked.
    Processing,
    Refused,
    Authorised,
    Captured,
    Cancelled,
}

/// A payment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Charge {
    pub(crate) stage: Stage,
    /// Which attempt was the last.
    pub(crate) attempt: u8,
    /// How often all of it went back.
    pub(crate) refunds: u8,
    /// How often it was taken.
    pub(crate) captures: u8,
    /// Whether the card authorises and never pays.
    pub(crate) refuses_capture: bool,
}

/// The provider does not do this.
#[derive(Debug)]
pub(crate) struct Refused;

impl Charge {
    /// One key is one attempt: an older one, or this one again, changes nothing.
    pub(crate) fn pay(&mut self, attempt: u8) -> Result<(), Refused> {
        if attempt <= self.attempt {
            return Ok(());
        }
        match self.stage {
            Stage::Nothing | Stage::Refused => {
                self.stage = Stage::Processing;
                self.attempt = attempt;
                Ok(())
            }
            _ => Err(Refused),
        }
    }

    /// The card speaks.
    pub(crate) fn speak(&mut self, word: Stage) -> bool {
        let waits = self.stage == Stage::Processing;
        if waits {
            self.stage = word;
        }
        waits
    }

    pub(crate) fn capture(&mut self) -> Result<(), Refused> {
        match self.stage {
            Stage::Captured => Ok(()),
            Stage::Authorised if !self.refuses_capture => {
                self.take();
                Ok(())
            }
            _ => Err(Refused),
        }
    }

    /// Takes the money, asked or not: at the provider's own pages it is taken even of what was given up.
    pub(crate) fn take(&mut self) {
        self.stage = Stage::Captured;
        self.captures += 1;
    }

    pub(crate) fn cancel(&mut self) -> Result<(), Refused> {
        match self.stage {
            Stage::Captured => Err(Refused),
            _ => {
                self.stage = Stage::Cancelled;
                Ok(())
            }
        }
    }

    /// One refund has one key: asked again it is the same.
    pub(crate) fn refund(&mut self) -> Result<(), Refused> {
        if self.stage != Stage::Captured {
            return Err(Refused);
        }
        if self.refunds == 0 {
            self.refunds = 1;
        }
        Ok(())
    }

    /// Minor units that the shop has of it and keeps.
    pub(crate) fn kept(&self, amount: i64) -> i64 {
        amount * (i64::from(self.captures) - i64::from(self.refunds))
    }

    /// What the provider shows of it.
    pub(crate) fn observe(&self, amount: i64) -> Option<Observation> {
        if self.stage == Stage::Nothing {
            return None;
        }
        let when = |there: bool| if there { amount } else { 0 };
        let view = if self.stage == Stage::Refused { AttemptView::Refused } else { AttemptView::Open };
        Some(Observation {
            amount,
            currency: Some(Currency::EUR),
            capturable: when(self.stage == Stage::Authorised),
            captured: when(self.stage == Stage::Captured),
            refunded: when(self.refunds > 0),
            cancelled: self.stage == Stage::Cancelled,
            disputed: 0,
            in_parts: false,
            capture_before: None,
            attempt: Some((REFERENCES[usize::from(self.attempt)].to_owned(), view)),
        })
    }
}
