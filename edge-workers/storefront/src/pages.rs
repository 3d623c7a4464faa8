//! Pages for people: server-rendered, working without scripts, one design.

pub(crate) mod assets;
pub(crate) mod browse;
pub(crate) mod card;
pub(crate) mod category;
pub(crate) mod frame;
pub(crate) mod home;
pub(crate) mod price;
pub(crate) mod product;
pub(crate) mod search;
pub(crate) mod trouble;
