//! The two desks: who sits there, and which cookie says so.

use bodega_domain::principal::Principal;

/// Where somebody works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Desk {
    /// Runs the marketplace.
    Admin,
    /// Sells in it.
    Merchant,
}

impl Desk {
    /// Everything of the desk is under this path; its cookie goes nowhere else.
    pub(crate) const fn base(self) -> &'static str {
        match self {
            Self::Admin => "/admin",
            Self::Merchant => "/merchant",
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Admin => "Admin",
            Self::Merchant => "Merchant",
        }
    }

    /// Cookies of the session and of the notice that the next page shows.
    pub(crate) const fn cookies(self) -> (&'static str, &'static str) {
        match self {
            Self::Admin => ("bodega_admin", "bodega_admin_notice"),
            Self::Merchant => ("bodega_merchant", "bodega_merchant_notice"),
        }
    }

    pub(crate) fn admits(self, principal: &Principal) -> bool {
        match self {
            Self::Admin => principal.is_admin(),
            Self::Merchant => principal.merchants().next().is_some(),
        }
    }

    /// The desk of whoever signed in; shoppers have none.
    pub(crate) fn of(principal: &Principal) -> Option<Self> {
        [Self::Admin, Self::Merchant].into_iter().find(|desk| desk.admits(principal))
    }

    /// Names and paths of its pages.
    pub(crate) const fn pages(self) -> &'static [(&'static str, &'static str)] {
        const ALL: &[(&str, &str)] = &[
            ("Overview", ""),
            ("Orders", "/orders"),
            ("Returns", "/returns"),
            ("Products", "/products"),
            ("Stock", "/stock"),
            ("Money", "/money"),
            ("Plugins", "/plugins"),
            ("Settings", "/settings"),
            ("Under way", "/sagas"),
            ("Services", "/services"),
        ];
        match self {
            Self::Admin => ALL,
            Self::Merchant => ALL.split_at(8).0,
        }
    }
}
