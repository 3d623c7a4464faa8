//! Pages for people: server-rendered, working without scripts, one design.

pub(crate) mod account;
pub(crate) mod assets;
pub(crate) mod browse;
pub(crate) mod card;
pub(crate) mod cart;
pub(crate) mod category;
pub(crate) mod checkout;
pub(crate) mod field;
pub(crate) mod frame;
pub(crate) mod home;
pub(crate) mod offers;
pub(crate) mod order;
pub(crate) mod price;
pub(crate) mod product;
pub(crate) mod search;
pub(crate) mod trouble;
