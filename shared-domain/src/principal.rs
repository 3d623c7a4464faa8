//! Who asks. An edge's word is never an account's identity: this is made from a verified token only.

use serde::{Deserialize, Serialize};

use crate::{
    id::{AccountId, MerchantId, SessionId},
    token::{Role, Session},
};

/// Who owns carts and orders: a guest's session, or an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// A guest's session.
    Guest(SessionId),
    /// An account.
    Account(AccountId),
}

impl core::fmt::Display for Owner {
    /// The id alone: its prefix tells which it is.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Owner::Guest(session) => session.fmt(f),
            Owner::Account(account) => account.fmt(f),
        }
    }
}

impl core::str::FromStr for Owner {
    type Err = crate::id::IdError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Owner::Account).or_else(|_| text.parse().map(Owner::Guest))
    }
}

/// Who asks for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Nobody in particular: no token came with the request.
    Anonymous,
    /// A guest's session.
    Guest {
        /// The session.
        session: SessionId,
    },
    /// A signed-in account.
    Account {
        /// The account.
        account: AccountId,
        /// The session it signed in with.
        session: SessionId,
        /// Roles beside shopper.
        roles: Vec<Role>,
    },
    /// Another service, known by its credential on the bus.
    Service,
}

impl Principal {
    /// Who owns what this principal makes; services and nobody own nothing.
    #[must_use]
    pub fn owner(&self) -> Option<Owner> {
        match self {
            Principal::Guest { session } => Some(Owner::Guest(*session)),
            Principal::Account { account, .. } => Some(Owner::Account(*account)),
            Principal::Anonymous | Principal::Service => None,
        }
    }

    /// Who is named in an audit: the owner's id, or `service`.
    #[must_use]
    pub fn who(&self) -> String {
        self.owner().map_or_else(|| "service".to_owned(), |owner| owner.to_string())
    }

    /// Whether it runs the marketplace.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        matches!(self, Principal::Account { roles, .. } if roles.contains(&Role::Admin))
    }

    /// Whether it does everybody's work: admins, and services on their own account.
    #[must_use]
    pub fn acts_for_all(&self) -> bool {
        self.is_admin() || matches!(self, Principal::Service)
    }

    /// Whether it does this merchant's work.
    #[must_use]
    pub fn acts_for(&self, merchant: MerchantId) -> bool {
        self.acts_for_all() || self.merchants().any(|own| own == merchant)
    }

    /// The merchants it acts for.
    pub fn merchants(&self) -> impl Iterator<Item = MerchantId> + '_ {
        let roles: &[Role] = match self {
            Principal::Account { roles, .. } => roles,
            _ => &[],
        };
        roles.iter().filter_map(|role| match role {
            Role::Merchant(merchant) => Some(*merchant),
            Role::Admin => None,
        })
    }
}

impl From<Session> for Principal {
    fn from(session: Session) -> Self {
        match session {
            Session::Guest(claims) => Principal::Guest { session: claims.session },
            Session::Account(claims) => {
                Principal::Account { account: claims.account, session: claims.session, roles: claims.roles }
            }
        }
    }
}
