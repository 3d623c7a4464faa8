//! What can be done on pages that are looked at: put something into the basket, change the currency.

use bodega_domain::{Code, Currency, Failure};

use super::frame::here;
use crate::{
    cart, catalog,
    platform::Platform,
    read::{self, Form},
    respond::{self, Answer},
    session,
    visit::Visit,
};

/// A key for the forms of a page. It differs in every rendering.
pub(crate) fn form_key<P: Platform>(visit: &Visit<'_, P>) -> String {
    bodega_domain::token::base64url(&visit.random::<12>())
}

/// `POST` on a page that is looked at.
pub(crate) async fn post<P: Platform>(visit: &Visit<'_, P>) -> Answer {
    let form = read::form(visit)?;
    act(visit, &form).await
}

/// The same with a form that was read before.
pub(crate) async fn act<P: Platform>(visit: &Visit<'_, P>, form: &Form) -> Answer {
    match form.get("action") {
        "add" => add(visit, form).await,
        "currency" => currency(visit, form).await,
        _ => Err(Failure::new(Code::BadRequest, "This form is not one of this page.")),
    }
}

async fn add<P: Platform>(visit: &Visit<'_, P>, form: &Form) -> Answer {
    let code = form.get("sku");
    let no = catalog::sku_no(visit, code).await?;
    let quantity = quantity(form.get("quantity"))?;
    let shopper = session::for_cart(visit).await?;
    // The key tells a second click from a second wish as long as the first answer has not come. After it has come, the
    // cart in the cookie is another one: a page that the browser kept may add again.
    let seen = cart::peek(visit).map_or(0, |basket| basket.cart.largest_tick());
    let key = format!("{}:{seen}:{no}:{quantity}", read::checked_key(form.get("key"))?);
    cart::add(visit, shopper.as_ref(), no, quantity, Some(&key)).await?;
    Ok(respond::see_other(&after_add(visit, code, form.get("at"))))
}

/// Back to the page, and on it to the product.
fn after_add<P: Platform>(visit: &Visit<'_, P>, code: &str, at: &str) -> String {
    let page = here(visit, &["added"]);
    let separator = if page.contains('?') { '&' } else { '?' };
    let anchor = at.strip_prefix("at-").filter(|slug| catalog::is_slug(slug)).map(|slug| format!("#at-{slug}"));
    format!("{page}{separator}added={code}{}", anchor.unwrap_or_default())
}

/// A quantity as a person typed it; nothing is one.
pub(crate) fn quantity(text: &str) -> Result<u32, Failure> {
    if text.is_empty() {
        return Ok(1);
    }
    text.parse().map_err(|_| {
        Failure::from(Code::ValidationFailed).field("/quantity", "number", "A quantity is a whole number.")
    })
}

async fn currency<P: Platform>(visit: &Visit<'_, P>, form: &Form) -> Answer {
    let currency = form.get("currency").parse::<Currency>().ok().filter(|c| cart::CURRENCIES.contains(c));
    let currency = currency.ok_or_else(|| Failure::from(Code::CurrencyUnsupported))?;
    let shopper = session::for_cart(visit).await?;
    cart::change(visit, shopper.as_ref(), |cart, tick| {
        cart.set_currency(currency, tick);
        Ok(())
    })
    .await?;
    Ok(respond::see_other(&here(visit, &["added"])))
}

/// The SKU that was just added, out of the address.
pub(crate) fn added<P: Platform>(visit: &Visit<'_, P>) -> Option<String> {
    visit.query("added").filter(|sku| catalog::is_sku(sku))
}
